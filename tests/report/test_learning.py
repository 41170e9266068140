from dataclasses import replace

import pandas as pd
import pytest
from synthetic_runs import results

from fedgenbench.report.learning import climbs, steep_sentences
from fedgenbench.systems.field.tables import learning_table


def with_curve(heights, metric="personal", client=-1):
    """Made-up runs in which local only has these accuracies in rounds 4, 8, …"""
    made = results()
    experiment = next(iter(made.experiments))
    key = {"experiment": experiment, "method": "local", "metric": metric, "client": client}
    rows = [
        key | {"seed": seed, "round": 4 * number, "domain": None, "value": height + 0.01 * seed}
        for seed in (0, 2)
        for number, height in enumerate(heights, start=1)
    ]
    return replace(made, rounds=pd.DataFrame(rows)), experiment


def test_a_climb_is_from_a_guess_to_the_end_and_late_in_the_second_half():
    # Rounds 4, 8, 12 with 50, 52, 53 %; half-way, in round 6, 51 %; seeds add 1 %.
    made, experiment = with_curve([0.50, 0.52, 0.53])
    (climb,) = climbs(made, experiment)
    guess = 1 / made.experiments[experiment]["classes"]
    assert climb.whole == pytest.approx(0.54 - guess)
    assert climb.late == pytest.approx(0.53 - 0.51)
    assert not climb.steep


@pytest.mark.parametrize(
    ("heights", "steep"), [([0.3, 0.4, 0.5], True), ([0.5, 0.5, 0.5], False), ([0.0, 0.0], True)]
)
def test_what_still_gains_or_never_learnt_is_steep(heights, steep):
    made, experiment = with_curve(heights)
    assert [climb.steep for climb in climbs(made, experiment)] == [steep]
    title = made.experiments[experiment]["title"]
    assert len(steep_sentences(made, [title])) == steep
    assert steep_sentences(made, ["elsewhere"]) == []


def test_single_clients_other_metrics_and_single_points_are_no_curve():
    for changes in ({"metric": "global"}, {"client": 0}):
        made, experiment = with_curve([0.3, 0.5], **changes)
        assert list(climbs(made, experiment)) == []
    made, experiment = with_curve([0.3])
    assert list(climbs(made, experiment)) == []


def test_the_table_says_it_of_each_control():
    made, experiment = with_curve([0.30, 0.40, 0.50])
    (table,) = learning_table(made)
    (row,) = table.rows
    guess = 100 / made.experiments[experiment]["classes"]
    assert row.group == made.experiments[experiment]["title"]
    assert [cell.text for cell in row.cells] == [f"{51 - guess:.1f}", "15.0", "still climbing"]
    none, _ = with_curve([0.5])
    assert learning_table(none) == []
