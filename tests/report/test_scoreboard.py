import pytest

from fedgenbench.report.forest import Effect, Forest
from fedgenbench.report.scoreboard import claim_effects, scoreboard, to_decide
from fedgenbench.report.section import Section
from fedgenbench.report.statistics import Interval
from fedgenbench.report.verdicts import Claim, Judgement


def claim(verdict="undecided", interval=None, seeds=None, missing=(), **more):
    comparisons = (("A − B", interval),) if interval else ()
    judgement = Judgement(0.0, "points", comparisons, interval, seeds, tuple(missing))
    told = {"short": "A beats B", "scale": "embedded", "judgement": judgement} | more
    return Claim("a-1", "A is above B.", "sheet", verdict, "Evidence.", **told)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (claim("supported", Interval(2.0, 1.0, 3.0, 3)), ""),
        (claim("not testable here", scale="paper"), "paper scale"),
        (claim(interval=Interval(0.0, -1.0, 1.0, 3)), "more than 1000 seeds, or more training"),
        (claim(missing=["runs of A on EMNIST", "runs of B"]), "runs of A on EMNIST and 1 more"),
        (claim(interval=Interval(1.0, -1.0, 3.0, 3), seeds=9), "about 9 seeds"),
        (claim(), "at least 3 seeds"),
    ],
)
def test_what_an_open_claim_waits_for(given, words):
    assert to_decide(given) == words


def test_a_line_has_verdict_effect_published_size_and_seeds():
    told = claim("contradicted", Interval(-2.0, -3.0, -1.0, 4), published=(1.2, 5.1))
    section = Section("A: the method", claims=[told], name="a")
    (table,) = scoreboard([section]).tables
    (row,) = table.rows
    assert (row.label, row.link, row.group) == ("A beats B", "a.html#claim-a-1", "A")
    shown = [cell.text for cell in row.cells]
    assert shown == ["✘ contradicted", "−2.0 ± 1.0", "+1.2 to +5.1", "points", "4", ""]
    (effect,) = claim_effects(section, "a.html").effects
    assert (effect.tone, effect.link) == ("bad", "a.html#claim-a-1")


def test_bars_stand_where_their_numbers_are_on_the_axis():
    effects = [
        Effect("x", Interval(2.0, 1.0, 3.0, 3), published=(4.0, 4.0)),
        Effect("y", Interval(-1.0, -90.0, 88.0, 3)),
        Effect("z", Interval(7.0, None, None, 2), unit="rounds"),
    ]
    panel, other = Forest("f", "c", effects).panels
    assert (panel["unit"], other["unit"]) == ("points", "rounds")
    first, second = panel["rows"]
    width = (first["bar"][1] - first["bar"][0]) / 2.0  # of a point
    assert first["mean"] - first["bar"][0] == pytest.approx(width, abs=1e-3)
    assert first["marks"][0] - first["mean"] == pytest.approx(2 * width, abs=1e-3)
    assert first["mean"] - second["mean"] == pytest.approx(3 * width, abs=1e-3)
    # An interval that is far wider than all means lie apart is cut, and says so.
    assert (second["bar"], second["cut"]) == ([0.0, 1.0], [True, True])
    assert second["text"] == "−1.0 ± 89.0"
    assert other["rows"][0]["bar"] is None
