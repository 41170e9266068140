"""The kinds of test that WarmFed's claims need: at a moment, in every round, steadiness, left-out
domains, traffic and sizes. Numbers are accuracies in per cent of seeds 0, 1 and 2."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from stated_claims import above, claim, of

from fedgenbench.core.errors import UserError
from fedgenbench.report.results import Results
from fedgenbench.report.verdicts import judge
from fedgenbench.systems.warmfed import measures

# The 97.5 % quantile of t with 2 degrees, over the root of three seeds: half widths of [-1, 0, 1].
HALF = 4.302652729749462 / math.sqrt(3)

BASE = {
    "title": "Emoji, 2 clients",
    "role": "main",
    "dataset": "Emoji",
    "classes": 10,
    "clients": 2,
    "partition": "domains",
    "rounds": 4,
    "local": "1 epoch",
    "model": "cnn",
    "note": "",
    "base": "emoji",
}
MAIN = {"emoji": BASE}
WITHOUT = MAIN | {
    f"emoji-without-{name}": BASE
    | {"title": f"Emoji without {name}", "role": "left_out", "base": "emoji", "left_out": name}
    for name in ("ink", "oil")
}
COLUMNS = ["experiment", "method", "seed", "metric", "client", "domain", "value"]


def results(scores=None, rounds=None, traffic=None, experiments=MAIN, **changes):
    """Runs by hand, accuracies in per cent.

    scores: (experiment, method, metric) -> value of each seed.
    rounds: (experiment, method, metric) -> per seed, round -> value, or a value per client.
    traffic: (experiment, method) -> per-client bytes (up once, down once, up, down).
    """
    scores, rounds, traffic = scores or {}, rounds or {}, traffic or {}
    score_rows, round_rows, run_rows = [], [], []
    domains = ["ink", "oil"]

    def by_client(key, value):
        values = value if isinstance(value, tuple) else (value,) * 2
        rows = [key | {"client": -1, "domain": None, "value": sum(values) / 200}]
        return rows + [
            key | {"client": c, "domain": domains[c], "value": v / 100}
            for c, v in enumerate(values)
        ]

    for (experiment, method, metric), values in scores.items():
        for seed, value in enumerate(values):
            key = {"experiment": experiment, "method": method, "seed": seed, "metric": metric}
            score_rows += by_client(key, value)
    for (experiment, method, metric), curves in rounds.items():
        for seed, curve in enumerate(curves):
            key = {"experiment": experiment, "method": method, "seed": seed, "metric": metric}
            for number, value in curve.items():
                round_rows += by_client(key | {"round": number}, value)
    ran = {(e, m, s) for (e, m, _), v in scores.items() for s in range(len(v))}
    ran |= {(e, m, s) for e, m in traffic for s in range(3)}
    for experiment, method, seed in sorted(ran):
        amounts = traffic.get((experiment, method), (0, 0, 0, 0))
        names = ("bytes_up_once", "bytes_down_once", "bytes_up", "bytes_down")
        run = {"experiment": experiment, "method": method, "seed": seed, "digest": "d"}
        run |= {"scale": "embedded", "rounds": 4} | dict(zip(names, amounts, strict=True))
        run_rows.append(run)
    runs = pd.DataFrame(run_rows)
    for column in (
        *("engine", "device", "hardware", "wall_seconds", "peak_memory_bytes"),
        *("torch", "git_revision", "git_dirty", "started"),
    ):
        runs[column] = 0
    methods = {method for _, method, _ in ran}
    return Results(
        scores=pd.DataFrame(score_rows, columns=COLUMNS),
        rounds=pd.DataFrame(round_rows, columns=[*COLUMNS, "round"]),
        runs=runs,
        experiments=experiments,
        methods={m: {"label": m.upper(), "family": "personalised", "source": ""} for m in methods},
        expected={(r.experiment, r.method, r.seed): "d" for r in runs.itertuples()},
        **changes,
    )


@pytest.fixture
def verdict(tmp_path):
    def judged(test, grid, scale="embedded"):
        return judge([claim(tmp_path, measures, test, scale=scale)], grid)[0]

    return judged


# A lead at a moment ----------------------------------------------------------------------------
LEAD = above("accuracy", method="warmfed", baselines=["fedavg"], metric="global", at="one_shot")


def raced(first=(20, 20, 20)):
    """WarmFed at ``first`` before round 1, at 70 in the end; FedAvg at 10 after round 1, then at 90."""
    curves = [{0: v, 1: 40, 4: 70} for v in first]
    return results(
        {("emoji", "warmfed", "global"): [70] * 3, ("emoji", "fedavg", "global"): [90] * 3},
        {
            ("emoji", "warmfed", "global"): curves,
            ("emoji", "fedavg", "global"): [{1: 10, 4: 90}] * 3,
        },
    )


def test_a_lead_is_judged_at_the_moment_it_names(verdict):
    shown = verdict(LEAD, raced([14, 15, 16]))
    assert shown.verdict == "supported"
    assert "WARMFED − FEDAVG (Emoji, 2 clients) = 5.0 ± 2.5 points" in shown.evidence
    shown = verdict(of(LEAD, **{"at": "last"}), raced())
    assert shown.verdict == "contradicted"
    assert "= −20.0 ± 0.0 points" in shown.evidence


def test_the_metric_decides_which_models_are_compared(verdict):
    shown = verdict(of(LEAD, **{"metric": "personal", "at": "last"}), raced())
    assert shown.verdict == "not testable here"
    assert shown.evidence == (
        "Missing: a personal accuracy of WARMFED on Emoji, 2 clients (it was run and has none). "
        "Scale: embedded."
    )


def test_data_sets_of_warmfed_without_runs_are_named(verdict):
    absent = {
        "domainnet": {"title": "DomainNet, 6", "dataset": "DomainNet", "role": "main"},
        "domainnet-60": {"title": "DomainNet, 60", "dataset": "DomainNet", "role": "scale"},
        "camelyon": {"title": "Camelyon17", "dataset": "Camelyon17", "role": "main"},
    }
    absent = {
        name: v | {"reason": "no data", "warmfed": True, "leave_one_out": True}
        for name, v in absent.items()
    }
    absent["emnist"] = {"title": "EMNIST", "dataset": "EMNIST", "reason": "no data"}
    shown = verdict(LEAD, replace(raced(), absent=absent))
    assert "Not run here: DomainNet, Camelyon17. Scale" in shown.evidence


def test_a_variant_may_be_compared_and_a_misspelt_method_not(verdict):
    verdict(of(LEAD, **{"method": "fedavg_warm"}), raced())
    with pytest.raises(UserError, match="'fedavgwarm' is no method, and no variant of one"):
        verdict(of(LEAD, **{"method": "fedavgwarm"}), raced())


# Every round -----------------------------------------------------------------------------------
EVERY = above("accuracy_by_round", method="warmfed", baselines=["fedavg"], metric="global")


def by_rounds(leads):
    """``leads``: round -> lead over FedAvg in each seed; level in round 0."""
    ours = [{0: 50} | {n: 50 + v[seed] for n, v in leads.items()} for seed in range(3)]
    key = ("emoji", "warmfed", "global"), ("emoji", "fedavg", "global")
    theirs = [dict.fromkeys((0, *leads), 50)] * 3
    return results(dict.fromkeys(key, [50] * 3), dict(zip(key, (ours, theirs), strict=True)))


def test_every_round_has_to_be_ahead_and_round_0_does_not_count(verdict):
    shown = verdict(EVERY, by_rounds({1: [3, 4, 5], 2: [9, 9, 9], 4: [9, 9, 9]}))
    assert shown.verdict == "supported"
    assert "WARMFED − FEDAVG after round 1 (Emoji, 2 clients) = 4.0 ± 2.5" in shown.evidence
    assert "3 of 3 intervals lie above the 0.0 points asked" in shown.evidence


@pytest.mark.parametrize(
    ("second", "expected"), [([1, 2, 3], "undecided"), ([-9, -9, -9], "contradicted")]
)
def test_one_round_is_enough_to_fail(verdict, second, expected):
    shown = verdict(EVERY, by_rounds({1: [9, 9, 9], 2: second}))
    assert shown.verdict == expected
    assert "after round 2" in shown.evidence
    assert "1 of 2 intervals lies above" in shown.evidence


# Steadiness ------------------------------------------------------------------------------------
STEADY = above("spread_over_rounds", method="warmfed", baselines=["warmfed_previous"])


def wobbling(ours, theirs, rounds=(1, 2, 3, 4)):
    """Personal models that rise by 5 points a round, and by so many points more in every second one.

    A wobble w, 0, w, 0 deviates by w/5 · (1, -3, 3, -1) from its line: with two degrees of freedom
    that is a standard deviation of w · √0.4.
    """

    def curve(wobble):
        return {n: (5 * n + wobble * (n % 2), 5 * n + wobble * (n % 2)) for n in rounds}

    keys = ("emoji", "warmfed", "personal"), ("emoji", "warmfed_previous", "personal")
    curves = [[curve(w) for w in each] for each in (ours, theirs)]
    return results(dict.fromkeys(keys, [50] * 3), dict(zip(keys, curves, strict=True)))


def test_steadier_means_less_spread_around_the_trend(verdict):
    # The rise of 5 points a round is no spread.
    shown = verdict(STEADY, wobbling([0, 0, 0], [4, 5, 6]))
    assert shown.verdict == "supported"
    mean, half = 5 * math.sqrt(0.4), HALF * math.sqrt(0.4)
    assert (
        f"spread of WARMFED_PREVIOUS − WARMFED (Emoji, 2 clients) = {mean:.1f} ± {half:.1f} points"
        in shown.evidence
    )
    assert verdict(STEADY, wobbling([4, 5, 6], [0, 0, 0])).verdict == "contradicted"
    assert verdict(STEADY, wobbling([4, 5, 6], [5, 5, 5])).verdict == "undecided"


def test_a_line_through_three_rounds_says_nothing(verdict):
    shown = verdict(STEADY, wobbling([0, 0, 0], [4, 5, 6], rounds=(1, 2, 4)))
    assert shown.verdict == "not testable here"
    assert "Missing: 4 evaluated rounds on Emoji, 2 clients." in shown.evidence


# Left-out domains ------------------------------------------------------------------------------
LEFT = above("accuracy_on_left_out_domains", method="warmfed", baselines=["fedavg"])


def left_out(ink, oil):
    scores = {("emoji", "warmfed", "global"): [99] * 3}
    for name, leads in (("ink", ink), ("oil", oil)):
        for method, values in (("warmfed", [50 + v for v in leads]), ("fedavg", [50] * 3)):
            if leads:
                scores[f"emoji-without-{name}", method, "global"] = values
    return results(scores, experiments=WITHOUT)


def test_left_out_domains_are_averaged_and_counted(verdict):
    # Means of the two domains: 3, 4, 5.
    shown = verdict(LEFT, left_out([7, 9, 11], [-1, -1, -1]))
    assert shown.verdict == "supported"
    assert (
        "WARMFED − FEDAVG, mean over the domains left out (Emoji, 2 clients) = 4.0 ± 2.5"
        in shown.evidence
    )
    assert "WARMFED is ahead of FEDAVG on 1 of 2 domains (Emoji, 2 clients)." in shown.evidence
    assert verdict(LEFT, left_out([-7, -9, -11], [1, 1, 1])).verdict == "contradicted"


def test_a_domain_that_was_not_left_out_is_missing(verdict):
    shown = verdict(LEFT, left_out([7, 8, 9], []))
    assert shown.verdict == "undecided"
    assert "Missing: runs without oil on Emoji, 2 clients." in shown.evidence
    none = results({("emoji", "warmfed", "global"): [9] * 3})
    assert "Missing: runs without a domain." in verdict(LEFT, none).evidence


# Traffic and sizes -----------------------------------------------------------------------------
TRAFFIC = above("traffic_of_a_client", bound=-10.0, method="warmfed", times=3)


@pytest.mark.parametrize(
    ("handed_out", "expected", "grown"),
    [(0, "supported", "0.0"), (49, "supported", "−9.8"), (51, "contradicted", "−10.2")],
)
def test_one_clients_traffic_may_grow_by_the_tolerance(verdict, handed_out, expected, grown):
    # All else is 4 rounds of 100 + 75 and an adapter, 1,000 together with the images that are handed
    # out; with three times the clients these are thrice as many.
    traffic = {("emoji", "warmfed"): (300 - handed_out, handed_out, 100, 75)}
    shown = verdict(TRAFFIC, results(traffic=traffic))
    assert shown.verdict == expected
    assert f"with 2 − with 6 clients, in % of the former (Emoji, 2 clients) = {grown} ± 0.0 %" in (
        shown.evidence
    )


def test_without_runs_of_the_method_traffic_is_not_testable(verdict):
    shown = verdict(TRAFFIC, results(traffic={("emoji", "fedavg"): (1, 1, 1, 1)}))
    assert shown.verdict == "not testable here"
    assert "Missing: runs of warmfed." in shown.evidence


SIZE = {"shape": "within", "target": 2.0, "tolerance": 0.5, "measure": "adapter_size"}


@pytest.mark.parametrize(
    ("size", "expected"), [(1.66e6, "supported"), (2.4e6, "supported"), (3.3e6, "contradicted")]
)
def test_an_adapters_size_is_that_of_its_clients_mean(verdict, size, expected):
    rows = [
        {"experiment": "emoji", "seed": seed, "kind": "adapter", "client": client}
        | {"name": name, "value": value}
        for seed in range(3)
        for client in (0, 1)
        for name, value in (("adapter_bytes", size + (client - 0.5) * 1e5), ("images", 9.0))
    ]
    grid = results({("emoji", "warmfed", "global"): [9] * 3}, synthesis=pd.DataFrame(rows))
    shown = verdict(SIZE, grid)
    assert shown.verdict == expected
    assert f"the distance of {size / 1e6:.3f} MB from 2 MB (Emoji, 2 clients)" in shown.evidence


def test_below_its_scale_a_size_is_not_judged(verdict):
    grid = results({("emoji", "warmfed", "global"): [9] * 3})
    assert verdict(SIZE, grid).evidence == "Missing: adapters. Scale: embedded."
    shown = verdict(SIZE, grid, scale="paper")
    assert shown.evidence == "Decidable from paper scale on. Scale: embedded."


def test_a_baseline_that_ran_without_a_global_model_is_not_called_unrun(verdict):
    curves = {
        ("emoji", m, "global"): [{1: v, 4: v}] * 3 for m, v in (("warmfed", 70), ("fedavg", 60))
    }
    scores = {key: [70 if key[1] == "warmfed" else 60] * 3 for key in curves}
    grid = results(scores | {("emoji", "fedbn", "personal"): [50] * 3}, curves)
    test = of(LEAD, **{"at": "last", "baselines": ["fedavg", "fedbn", "ditto"]})
    shown = verdict(test, grid)
    assert shown.verdict == "undecided"
    assert shown.evidence.endswith(
        "Missing: runs of ditto on Emoji, 2 clients; a global accuracy of FEDBN on Emoji, 2 clients (it "
        "was run and has none). Scale: embedded."
    )
