import math
import subprocess
import sys
from dataclasses import replace
from typing import get_args

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from stated_claims import above, claim, of

from fedgenbench.core.errors import UserError
from fedgenbench.core.scales import SCALES
from fedgenbench.federated.method import METHODS
from fedgenbench.plan.settings import Settings
from fedgenbench.report.claims import Entry, load_claims
from fedgenbench.report.published import published
from fedgenbench.report.results import Results
from fedgenbench.report.verdicts import judge
from fedgenbench.systems.base import files
from fedgenbench.systems.claims import stated
from fedgenbench.systems.pfedgpa import measures

SYSTEM = files("claims.yaml")["pfedgpa"].parent
# The 97.5 % quantile of t with 2 degrees, over the root of three seeds: half widths of [-1, 0, 1].
HALF = 4.302652729749462 / math.sqrt(3)


def quantile(confidence):
    """Of t with 2 degrees, two-sided, in closed form."""
    p = 0.5 + confidence / 2
    return (2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p)))


def entry(**changes):
    dataset = "Fashion-MNIST"
    base = {"title": f"{changes.get('dataset', dataset)}, {changes.get('clients', 10)} clients"}
    base |= {"dataset": dataset, "classes": 10, "clients": 10, "partition": "FedPAC", "rounds": 6}
    return base | {"local": "1 epoch", "model": "fedpac_cnn", "note": ""} | changes


FASHION = {"fashion": entry()}
BOTH = FASHION | {"cifar": entry(dataset="CIFAR-10")}


def results(scores, experiments, curves=None, scale="embedded"):
    """Runs made of ``scores``: (experiment, method) -> accuracy in per cent of seeds 0, 1, ...

    ``curves``: (experiment, method) -> per seed, round -> accuracy in per cent.
    """
    score_rows, round_rows, run_rows = [], [], []
    columns = ["experiment", "method", "seed", "metric", "client", "domain", "value"]
    for (experiment, method), values in scores.items():
        for seed, value in enumerate(values):
            key = {"experiment": experiment, "method": method, "seed": seed}
            shown = key | {"metric": "personal", "domain": None}
            # The client's own row must not count beside the mean.
            score_rows += [
                shown | {"client": c, "value": v / 100} for c, v in ((-1, value), (0, 5))
            ]
            for number, height in (
                (curves or {}).get((experiment, method), {seed: {}})[seed].items()
            ):
                row = shown | {"client": -1, "round": number}
                # Another metric's accuracies must not count either.
                round_rows += [
                    row | {"value": height / 100},
                    row | {"metric": "start", "value": 1.0},
                ]
            run_rows.append(key | {"digest": "d", "scale": scale})
    runs = pd.DataFrame(run_rows, columns=["experiment", "method", "seed", "digest", "scale"])
    for column in (
        *("rounds", "engine", "device", "hardware", "wall_seconds", "peak_memory_bytes"),
        *(
            "bytes_up",
            "bytes_down",
            "bytes_up_once",
            "bytes_down_once",
            "torch",
            "git_revision",
            "git_dirty",
            "started",
        ),
    ):
        runs[column] = 0
    methods = {method for _, method in scores}
    return Results(
        scores=pd.DataFrame(score_rows, columns=columns),
        rounds=pd.DataFrame(round_rows, columns=[*columns, "round"]),
        runs=runs,
        experiments=experiments,
        methods={m: {"label": m.upper(), "family": "personalised", "source": ""} for m in methods},
        expected={(r.experiment, r.method, r.seed): "d" for r in runs.itertuples()},
    )


LEAD = above(
    "accuracy",
    bound=-1.0,
    method="pfedgpa",
    baselines=["fedavg", "ditto"],
    datasets=["Fashion-MNIST"],
    clients=None,
)
ROUNDS = above(
    "rounds_to_accuracy",
    method="pfedgpa",
    baselines=["fedavg"],
    datasets=["Fashion-MNIST"],
    reference="fedavg_ft",
)
NEWCOMERS = above("accuracy_of_new_clients", arm="guided", against=["local"], rounds=2)
GROWTH = {
    "shape": "growth",
    "axis": "clients",
    "measure": "accuracy",
    "of": {"method": "pfedgpa", "baselines": ["fedavg"]},
    "sizes": {"Fashion-MNIST": {"mlp": 50_000, "fedpac_cnn": 117_000}},
}


@pytest.fixture
def verdict(tmp_path):
    """Judges one claim; ``newcomers`` and the claim's other keys by name."""

    def judged(test, grid, newcomers=None, **changes):
        if newcomers is not None:
            grid = with_newcomers(grid, newcomers)
        return judge([claim(tmp_path, measures, test, **changes)], grid)[0]

    return judged


def against(fedavg, ditto=(40, 40, 40), experiment="fashion"):
    """Ours is at 50; the baselines are as far below it as is said."""
    return {
        (experiment, "pfedgpa"): [50] * len(fedavg),
        (experiment, "fedavg"): [50 - value for value in fedavg],
        (experiment, "ditto"): [50 - value for value in ditto],
    }


# Lead ------------------------------------------------------------------------------------------
def test_a_lead_within_the_tolerance_of_every_baseline_is_supported(verdict):
    # Mean 2, half width 2.484: the lower end, -0.484, lies above the tolerance of one point.
    shown = verdict(LEAD, results(against([1, 2, 3]), FASHION))
    assert shown.verdict == "supported"
    assert shown.evidence == (
        "Decisive: PFEDGPA − FEDAVG (Fashion-MNIST, 10 clients) = 2.0 ± 2.5 points (95 % interval over "
        "seeds 0, 1, 2). 2 of 2 intervals lie above the −1.0 points asked "
        "(on Fashion-MNIST, 10 clients). Scale: embedded."
    )
    assert (shown.id, shown.text, shown.source) == ("c", "It is so.", "sheet §8 (published)")


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        (2 - HALF - 1e-9, "supported"),
        (2 - HALF + 1e-9, "undecided"),
        (2 + HALF - 1e-9, "undecided"),
    ],
)
def test_the_bound_is_the_lower_end_of_the_interval(verdict, margin, expected):
    assert (
        verdict(LEAD | {"bound": margin}, results(against([1, 2, 3]), FASHION)).verdict == expected
    )


def test_the_baseline_with_the_lowest_interval_decides_not_the_one_with_the_highest_mean(verdict):
    grid = results(against([0, 3, 6], ditto=[1.9, 2, 2.1]), FASHION)
    shown = verdict(LEAD | {"bound": -10.0}, grid)
    assert shown.verdict == "supported"
    assert "Decisive: PFEDGPA − FEDAVG (Fashion-MNIST, 10 clients) = 3.0 ± 7.5" in shown.evidence


def test_what_contradicts_first_is_what_falls_first(verdict):
    # Upper ends at 95 %: -5.01 and -4.75; at 97.5 %: -4.57 and -4.64. Once Ditto has fallen, FedAvg
    # is tested alone and falls, too.
    grid = results(against([-6.4, -6, -5.6], ditto=[-5.1, -5, -4.9]), FASHION)
    shown = verdict(LEAD | {"bound": -4.6}, grid)
    assert shown.verdict == "contradicted"
    assert "Decisive: PFEDGPA − DITTO" in shown.evidence


def test_one_baseline_clearly_above_contradicts_and_is_named_with_what_was_tried(verdict):
    # One of two comparisons is enough, at 97.5 % instead of 95 %: half width 6.205 / sqrt(3) * 0.1.
    grid = results(against([20, -5, 20], ditto=[-5.1, -5, -4.9]), FASHION)
    shown = verdict(LEAD, grid, tried=["twice the rounds."])
    assert shown.verdict == "contradicted"
    assert (
        "Decisive: PFEDGPA − DITTO (Fashion-MNIST, 10 clients) = −5.0 ± 0.2 points"
        in shown.evidence
    )
    assert "± 0.4 corrected for 2 comparisons" in shown.evidence
    assert "0 of 2 intervals lie above" in shown.evidence
    assert shown.evidence.endswith("Tried: twice the rounds.")
    assert "Tried" not in verdict(LEAD, results(against([9, 9, 9]), FASHION), tried=["x"]).evidence


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_contradiction_is_corrected_for_the_number_of_baselines(verdict, confidence):
    # Ditto is ahead by 5 ± q / sqrt(3) points: with two comparisons q is that of half the error.
    strict = quantile(1 - (1 - confidence) / 2) / math.sqrt(3)
    assert strict > quantile(confidence) / math.sqrt(3)
    # FedAvg stands on no side of any of these margins.
    grid = replace(
        results(against([-40, 0, 30], ditto=[-6, -5, -4]), FASHION), confidence=confidence
    )
    for margin, expected in (
        (-5 + strict + 1e-9, "contradicted"),
        (-5 + strict - 1e-9, "undecided"),
    ):
        assert verdict(LEAD | {"bound": margin}, grid).verdict == expected


# No effect -------------------------------------------------------------------------------------
EQUAL = LEAD | {"bound": 0.0, "smallest": 1.0}


@pytest.mark.parametrize(
    ("fedavg", "expected"),
    [
        ([-0.1, 0, 0.1], "no effect"),  # ± 0.2
        ([-0.5, -0.4, -0.3], "no effect"),  # below zero for sure, by nothing of interest
        ([0.3, 0.4, 0.5], "supported"),
        ([-0.9, -0.4, 0.1], "undecided"),  # -0.4 ± 1.2
        ([-1.2, -1.1, -1.0], "contradicted"),
    ],
)
def test_what_is_surely_smaller_than_the_smallest_of_interest_is_no_effect(
    verdict, fedavg, expected
):
    grid = results(against(fedavg), FASHION)
    assert verdict(of(EQUAL, baselines=["fedavg"]), grid).verdict == expected
    # One rival that is equalled is enough against "above every one of them".
    assert verdict(EQUAL, grid).verdict == expected


def test_no_effect_is_told_with_its_size(verdict):
    shown = verdict(EQUAL, results(against([-0.1, 0, 0.1]), FASHION))
    assert "PFEDGPA − FEDAVG (Fashion-MNIST, 10 clients) = 0.0 ± 0.2 points" in shown.evidence
    assert "It is below 1.0 points either way, the smallest effect of interest." in shown.evidence
    shown = verdict(EQUAL, results(against([0.3, 0.4, 0.5]), FASHION))
    assert "It is there, but below 1.0 points, the smallest of interest." in shown.evidence


def test_equivalence_is_corrected_for_the_number_of_comparisons(verdict):
    # At 95 % the interval is 0 ± 0.9, at 97.5 % ± 1.3; with the other one decided it is alone again.
    near = [-0.9 / HALF, 0, 0.9 / HALF]
    alone = results(against(near), FASHION)
    assert verdict(of(EQUAL, baselines=["fedavg"]), alone).verdict == "no effect"
    other = results(against(near, ditto=[-40, 0, 40]), FASHION)
    assert verdict(EQUAL, other).verdict == "undecided"


def test_an_undecided_claim_says_what_it_would_take(verdict):
    test = of(LEAD | {"bound": 0.0}, baselines=["fedavg"])
    # Mean 1, standard deviation 1: ten seeds find it with a chance of four fifths.
    shown = verdict(test, results(against([0, 1, 2]), FASHION))
    assert "About 10 seeds would decide it at this mean and spread." in shown.evidence
    shown = verdict(test, results(against([-10, 0.01, 10]), FASHION))
    assert "More than 1000 seeds would be needed to decide it" in shown.evidence
    # Nothing can be told apart from zero, but zero from the smallest of interest can.
    shown = verdict(EQUAL | test | {"smallest": 3.0}, results(against([-4, 0.01, 4]), FASHION))
    assert "About 17 seeds would decide it" in shown.evidence


def test_the_size_that_the_paper_has_stands_beside(verdict):
    shown = verdict(LEAD, results(against([1, 2, 3]), FASHION), published_size="2 points (CIFAR)")
    assert "In the paper: 2 points (CIFAR). Scale" in shown.evidence


# Learning --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("heights", "expected"),
    [([50, 57, 58, 59], "contradicted"), ([20, 30, 40, 50], "undecided")],
)
def test_nothing_is_contradicted_while_methods_still_learn(verdict, heights, expected):
    curves = {("fashion", "local"): [dict(enumerate(heights, start=1))] * 3}
    scores = against([-20, -20.1, -19.9]) | {("fashion", "local"): [heights[-1]] * 3}
    grid = results(scores, FASHION, curves)
    methods = dict(grid.methods)
    methods["local"] = methods["local"] | {"family": "control"}
    shown = verdict(LEAD, replace(grid, methods=methods))
    assert shown.verdict == expected
    assert (
        "It would be contradicted, had methods learnt more: LOCAL still gained 20.0 points"
        in (shown.evidence)
    ) == (expected == "undecided")


def test_a_missing_data_set_keeps_the_whole_from_being_supported(verdict):
    test = of(LEAD, **{"datasets": ["Fashion-MNIST", "EMNIST"]})
    shown = verdict(test, results(against([1, 2, 3]), FASHION))
    assert shown.verdict == "undecided"
    assert "2 of 2 intervals lie above" in shown.evidence
    assert "The part that was run holds. Missing: runs of PFEDGPA on EMNIST." in shown.evidence
    # What is there can still contradict it.
    shown = verdict(test, results(against([-20, -20.1, -19.9]), FASHION))
    assert shown.verdict == "contradicted"
    assert "Missing: runs of PFEDGPA on EMNIST." in shown.evidence


def test_every_experiment_of_a_data_set_counts(verdict):
    scores = against([9, 9, 9]) | against([-20, -20.1, -19.9], experiment="cifar")
    grid = results(scores, BOTH)
    assert verdict(LEAD, grid).verdict == "supported"
    shown = verdict(of(LEAD, **{"datasets": ["Fashion-MNIST", "CIFAR-10"]}), grid)
    assert shown.verdict == "contradicted"
    assert "PFEDGPA − FEDAVG (CIFAR-10, 10 clients)" in shown.evidence
    assert "(on Fashion-MNIST, 10 clients; CIFAR-10, 10 clients)" in shown.evidence


def test_tuning_judges_nothing(verdict):
    scores = against([9, 9, 9]) | against([-20, -20.1, -19.9], experiment="tuned")
    grid = results(scores, FASHION | {"tuned": entry(role="tuning")})
    shown = verdict(LEAD, grid)
    assert shown.verdict == "supported"
    assert "2 of 2 intervals" in shown.evidence
    assert verdict(NEWCOMERS, grid, newcomers([60] * 3, [50] * 3, "tuned")).verdict == (
        "not testable here"
    )


def test_a_baseline_without_runs_is_named(verdict):
    scores = against([9, 9, 9])
    del scores["fashion", "ditto"]
    shown = verdict(LEAD, results(scores, FASHION))
    assert shown.verdict == "undecided"
    assert "Missing: runs of ditto on Fashion-MNIST, 10 clients." in shown.evidence


@pytest.mark.parametrize("scores", [{}, {("fashion", "fedavg"): [50, 50, 50]}])
def test_without_runs_of_the_method_nothing_is_testable(verdict, scores):
    shown = verdict(LEAD, results(scores, FASHION))
    assert shown.verdict == "not testable here"
    assert shown.evidence.startswith("Missing: runs of pfedgpa on Fashion-MNIST.")


def test_a_client_count_that_was_not_run_is_not_testable(verdict):
    shown = verdict(of(LEAD, **{"clients": 100}), results(against([9, 9, 9]), FASHION))
    assert shown.verdict == "not testable here"
    assert "Missing: runs of PFEDGPA on Fashion-MNIST with 100 clients." in shown.evidence


def test_fewer_than_three_common_seeds_decide_nothing(verdict):
    shown = verdict(LEAD, results(against([20, 20], ditto=[20, 20]), FASHION))
    assert shown.verdict == "undecided"
    assert shown.evidence == ("2 of 2 comparisons have fewer than 3 common seeds. Scale: embedded.")
    # Three of ours, but two in common with one baseline.
    shown = verdict(LEAD, results(against([20, 20, 20], ditto=[20, 20]), FASHION))
    assert shown.verdict == "undecided"
    assert "1 of 2 intervals lies above" in shown.evidence
    assert "1 of 2 comparisons have fewer than 3 common seeds." in shown.evidence


def test_below_its_scale_a_claim_is_not_testable(verdict):
    grid = results(against([9, 9, 9]), FASHION, scale="embedded")
    shown = verdict(LEAD, grid, scale="paper")
    assert shown.verdict == "not testable here"
    assert shown.evidence == "Decidable from paper scale on. Scale: embedded."
    assert verdict(LEAD, grid, scale="smoke").verdict == "supported"


# Multiples of 1/1024, so that no sum is rounded and equal differences stay equal.
steps = st.integers(-200, 200).map(lambda n: n / 1024)


@settings(deadline=None, max_examples=10)
@given(
    values=st.lists(steps, min_size=9, max_size=9),
    shift=steps,
    order=st.randoms(use_true_random=False),
)
def test_verdicts_know_neither_the_order_of_rows_nor_a_common_shift(
    tmp_path_factory, values, shift, order
):
    def grids(shift):
        """The runs with ``shift`` added to every accuracy, and the same with rows shuffled."""
        names = ("pfedgpa", "fedavg", "ditto")
        low = [100 * (value + shift) for value in values]
        scores = {("fashion", m): low[3 * i : 3 * i + 3] for i, m in enumerate(names)}
        curves = {key: [{1: v - 1, 2: v} for v in own] for key, own in scores.items()}
        grid = results(scores, FASHION, curves)
        shuffled = {}
        for name in ("scores", "rounds", "runs"):
            places = list(range(len(getattr(grid, name))))
            order.shuffle(places)
            shuffled[name] = getattr(grid, name).iloc[places]
        return grid, replace(grid, **shuffled)

    tests = [LEAD, of(ROUNDS, reference="ditto")]
    folder = tmp_path_factory.mktemp("claims")
    known = [claim(folder, measures, test) for test in tests]
    said = [judge(known, grid) for s in (0.0, shift) for grid in grids(s)]
    assert said == [said[0]] * 4


# Rounds ----------------------------------------------------------------------------------------
def curve(reached, rounds=6):
    """At 50 % from the round ``reached`` on, below before; never where it is None."""
    return {n: 50 if reached and n >= reached else 10 for n in range(1, rounds + 1)}


def race(pfedgpa, fedavg, evaluated=range(1, 7)):
    """Runs whose curves reach the target of 50 % in those rounds."""
    curves = {("fashion", "pfedgpa"): pfedgpa, ("fashion", "fedavg"): fedavg}
    curves = {key: [curve(r) for r in reached] for key, reached in curves.items()}
    curves["fashion", "fedavg_ft"] = [curve(6)] * 3
    curves = {
        key: [{n: v for n, v in one.items() if n in evaluated} for one in per_seed]
        for key, per_seed in curves.items()
    }
    # The scores of pfedgpa and FedAvg are not the target.
    scores = {("fashion", "pfedgpa"): [90] * 3, ("fashion", "fedavg"): [5] * 3}
    scores["fashion", "fedavg_ft"] = [50] * 3
    return results(scores, FASHION, curves)


def test_fewer_rounds_are_supported_beyond_the_step_of_evaluations(verdict):
    # Differences 3, 3, 3 in rounds, widened by one round.
    shown = verdict(ROUNDS, race([2, 2, 2], [5, 5, 5]))
    assert shown.verdict == "supported"
    assert (
        "rounds of FEDAVG − PFEDGPA (Fashion-MNIST, 10 clients) = 3.0 ± 1.0 rounds"
        in shown.evidence
    )
    assert "PFEDGPA reached the final accuracy of FEDAVG_FT in 3 of 3 seeds" in shown.evidence


def test_a_run_that_never_arrives_counts_as_one_round_more_than_all(verdict):
    # Ours is at 7 in each seed, FedAvg at 2, 3, 4: differences -5, -4, -3.
    shown = verdict(ROUNDS, race([None, None, None], [2, 3, 4]))
    assert shown.verdict == "contradicted"
    assert f"= −4.0 ± {HALF + 1:.1f} rounds" in shown.evidence
    assert "PFEDGPA reached the final accuracy of FEDAVG_FT in 0 of 3 seeds" in shown.evidence


def test_where_nobody_arrives_nothing_is_decided(verdict):
    shown = verdict(ROUNDS, race([None] * 3, [None] * 3))
    assert shown.verdict == "undecided"
    assert "= 0.0 ± 1.0 rounds" in shown.evidence


def test_one_evaluation_earlier_is_no_lead(verdict):
    # Evaluated in rounds 1, 2, 4, 6: a lead of two rounds is one step.
    shown = verdict(ROUNDS, race([3, 3, 3], [5, 5, 5], evaluated=(1, 2, 4, 6)))
    assert shown.verdict == "undecided"
    assert "= 2.0 ± 2.0 rounds" in shown.evidence
    assert "widened by the 2 rounds between evaluations" in shown.evidence


def test_the_target_is_the_references_of_the_same_seed(verdict):
    grid = race([2, 2, 2], [5, 5, 5])
    scores = grid.scores
    unreachable = (scores["method"] == "fedavg_ft") & (scores["seed"] == 1)
    shown = verdict(
        ROUNDS, replace(grid, scores=scores.assign(value=scores["value"].mask(unreachable, 0.6)))
    )
    # In seed 1 neither arrives: differences 3, 0, 3.
    assert shown.verdict == "undecided"
    assert "= 2.0 ± 5.3 rounds" in shown.evidence
    assert "PFEDGPA reached the final accuracy of FEDAVG_FT in 2 of 3 seeds" in shown.evidence


def test_without_the_reference_there_is_no_target(verdict):
    grid = race([2, 2, 2], [5, 5, 5])
    shown = verdict(ROUNDS, grid.select(methods=["pfedgpa", "fedavg"]))
    assert shown.verdict == "not testable here"
    assert "Missing: the target, set by fedavg_ft, on Fashion-MNIST" in shown.evidence


def test_seeds_without_the_reference_do_not_count(verdict):
    grid = race([2, 2, 2], [5, 5, 5])
    scores = grid.scores
    kept = scores[(scores["method"] != "fedavg_ft") | (scores["seed"] == 0)]
    shown = verdict(ROUNDS, replace(grid, scores=kept))
    assert shown.verdict == "undecided"
    assert "It has fewer than 3 common seeds." in shown.evidence


def test_a_baseline_that_shares_no_seed_with_the_reference_cannot_be_overlooked(verdict):
    grid = race([2, 2, 2], [5, 5, 5])
    scores = grid.scores
    kept = scores[(scores["method"] != "fedavg_ft") | (scores["seed"] == 0)]
    rounds = grid.rounds[(grid.rounds["method"] != "fedavg") | (grid.rounds["seed"] != 0)]
    shown = verdict(ROUNDS, replace(grid, scores=kept, rounds=rounds))
    assert shown.verdict == "undecided"
    assert "It has fewer than 3 common seeds." in shown.evidence


# New clients -----------------------------------------------------------------------------------
def with_newcomers(grid, frame):
    """``grid`` with these new clients, all after local training, which knows no guidance."""
    return replace(grid, newcomers=frame.assign(stage="trained", steps=None, omega=None))


def newcomers(guided, local, experiment="fashion"):
    """Accuracy in per cent of round 1, by seed; one point more in round 2, far apart elsewhere."""
    rows = []
    for arm, values in (("guided", guided), ("local", local)):
        for seed, value in enumerate(values):
            # Rounds 0 and 3, and a single client, would turn every verdict round.
            other = 0 if arm == "guided" else 100
            key = {"experiment": experiment, "seed": seed, "arm": arm}
            for number, height in enumerate((other, value, value + 1, other)):
                rows.append(key | {"round": number, "client": -1, "value": height / 100})
                rows.append(key | {"round": number, "client": 8, "value": other / 100})
    return pd.DataFrame(rows)


GRID = results(against([9, 9, 9]) | against([9, 9, 9], experiment="cifar"), BOTH)


@pytest.mark.parametrize(
    ("gain", "expected"),
    [([4, 5, 6], "supported"), ([1, 2, 3], "undecided"), ([-4, -5, -6], "contradicted")],
)
def test_new_clients_are_judged_on_the_mean_of_their_first_rounds(verdict, gain, expected):
    shown = verdict(NEWCOMERS, GRID, newcomers([50 + g for g in gain], [50, 50, 50]))
    assert shown.verdict == expected
    sign = "−" if gain[1] < 0 else ""
    assert (
        "Decisive: guided − from scratch, mean of the new clients' local rounds up to 2 "
        f"(Fashion-MNIST, 10 clients) = {sign}{abs(gain[1])}.0 ± 2.5 points" in shown.evidence
    )


def test_new_clients_of_every_experiment_have_to_gain(verdict):
    frame = pd.concat(
        [newcomers([60] * 3, [50] * 3), newcomers([44, 45, 46], [50] * 3, experiment="cifar")]
    )
    shown = verdict(NEWCOMERS, GRID, frame)
    assert shown.verdict == "contradicted"
    assert "(CIFAR-10, 10 clients) = −5.0 ± 2.5 points" in shown.evidence
    assert "1 of 2 intervals lies above" in shown.evidence


def test_only_rounds_that_both_arms_have_are_compared(verdict):
    frame = newcomers([56, 55, 54], [50, 50, 50])
    late = frame[(frame["arm"] == "guided") | (frame["round"] != 1)]
    shown = verdict(NEWCOMERS, GRID, late)
    # Round 2 alone: 57, 56, 55 against 51.
    assert "= 5.0 ± 2.5 points" in shown.evidence


def test_without_new_clients_or_an_arm_it_is_not_testable(verdict):
    assert verdict(NEWCOMERS, GRID).verdict == "not testable here"
    assert verdict(NEWCOMERS, GRID).evidence == ("Missing: runs with new clients. Scale: embedded.")
    frame = newcomers([60] * 3, [50] * 3)
    assert verdict(NEWCOMERS, GRID, frame.iloc[:0]).verdict == "not testable here"
    shown = verdict(NEWCOMERS, GRID, frame[frame["arm"] == "guided"])
    assert shown.verdict == "not testable here"
    assert "Missing: new clients for guided − from scratch on Fashion-MNIST" in shown.evidence


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda f: f.drop(columns="arm"), "lack 1 column, arm"),
        (lambda f: f.assign(arm="guidde"), "1 unknown arm, guidde"),
        (
            lambda f: f.assign(experiment="elsewhere"),
            "1 experiment that the settings do not name, elsewhere",
        ),
        (lambda f: pd.concat([f, f]), "a row twice"),
    ],
)
def test_newcomers_that_do_not_fit_are_refused(verdict, change, match):
    with pytest.raises(UserError, match=match):
        verdict(NEWCOMERS, GRID, change(newcomers([60] * 3, [50] * 3)))


# Growth ----------------------------------------------------------------------------------------
GROWN = {
    "f10": entry(),
    "f20": entry(clients=20),
    "f100": entry(clients=100),
    "f10-mlp": entry(model="mlp"),
}


def leads(**by_experiment):
    """Runs where pfedgpa is ahead of FedAvg by so many points in the seeds."""
    scores = {}
    for name, values in by_experiment.items():
        name = name.replace("_", "-")
        scores[name, "pfedgpa"] = [50 + value for value in values]
        scores[name, "fedavg"] = [50] * len(values)
    return results(scores, GROWN)


FLAT, UP = [0, 0, 0], [4, 5, 6]


def test_growth_is_judged_along_one_axis(verdict):
    # From 10 to 100 clients, and from the larger to the smaller model; 20 clients lie between.
    grid = leads(f10=FLAT, f20=[-9, -9, -9], f100=UP, f10_mlp=[-3, -5, -7])
    shown = verdict(GROWTH, grid)
    assert shown.verdict == "supported"
    assert (
        "Decisive: growth of PFEDGPA − FEDAVG from Fashion-MNIST, 10 clients (fedpac_cnn) to "
        "Fashion-MNIST, 100 clients (fedpac_cnn) = 5.0 ± 2.5 points" in shown.evidence
    )
    shown = verdict(GROWTH | {"axis": "model"}, grid)
    assert shown.verdict == "contradicted"
    assert "to Fashion-MNIST, 10 clients (mlp) = −5.0 ± 5.0 points" in shown.evidence


def test_a_lead_that_shrinks_contradicts(verdict):
    shown = verdict(GROWTH, leads(f10=UP, f20=FLAT))
    assert shown.verdict == "contradicted"
    assert "to Fashion-MNIST, 20 clients (fedpac_cnn) = −5.0 ± 2.5 points" in shown.evidence


@pytest.mark.parametrize("axis", ["clients", "model"])
def test_one_place_on_the_axis_is_not_testable(verdict, axis):
    shown = verdict(GROWTH | {"axis": axis}, leads(f10=UP))
    assert shown.verdict == "not testable here"
    assert f"Missing: two experiments on Fashion-MNIST that differ in the {axis} alone." in (
        shown.evidence
    )


def test_a_baseline_that_only_one_experiment_has_is_named(verdict):
    grid = leads(f10=FLAT, f20=UP)
    scores = grid.scores
    kept = scores[(scores["experiment"] != "f20") | (scores["method"] != "fedavg")]
    shown = verdict(GROWTH, replace(grid, scores=kept))
    assert shown.verdict == "not testable here"
    assert (
        "Missing: a personal accuracy of FEDAVG on Fashion-MNIST, 20 clients (it was run and"
        in shown.evidence
    )


def test_experiments_that_differ_in_more_than_the_clients_are_not_compared(verdict):
    grid = leads(f10=FLAT, f20=UP)
    other = dict(GROWN) | {"f20": entry(clients=20, rounds=12)}
    assert verdict(GROWTH, replace(grid, experiments=other)).verdict == "not testable here"


# Files -----------------------------------------------------------------------------------------
def test_the_claims_of_the_papers_name_known_methods_and_data_sets():
    known = stated()["pfedgpa"]
    assert [each.entry.id for each in known] == [f"pfedgpa-{n}" for n in range(1, 7)]
    assert [each.entry.test.shape for each in known] == [*["above"] * 4, *["growth"] * 2]
    assert [each.entry.status for each in known] == ["published", *["second-hand"] * 5]
    for number, each in zip((1, 2, 3, 4, 5, 5), known, strict=True):
        assert each.entry.source == f"papers/pfedgpa.md §8, claim {number}"
    skeleton = published(SYSTEM / "published.yaml").cells[0]
    asked = known[0].arguments
    assert set(asked.baselines) == set(skeleton.methods) - {"pfedgpa"}
    assert set(asked.baselines) <= set(METHODS)
    assert {*asked.datasets, *asked.optional} == set(skeleton.datasets)


def test_scales_are_those_of_the_settings():
    fields = Entry.model_fields["scale"], Settings.model_fields["scale"]
    assert [get_args(field.annotation) for field in fields] == [SCALES, SCALES]


def test_every_published_cell_of_pfedgpa_is_not_available():
    table = published(SYSTEM / "published.yaml")
    for dataset in ("Fashion-MNIST", "EMNIST", "CIFAR-10"):
        for clients in (10, 20, 100):
            cell = table.cell("pfedgpa", dataset, clients)
            assert (cell.value, cell.status) == (None, "not available")
            assert cell.source == "papers/pfedgpa.md §1"
    assert table.cell("pfedgpa", "CIFAR-10", 50) is None
    assert [figure.status for figure in table.figures] == ["second-hand", "second-hand"]


def test_all_of_pfedgpas_claims_are_judged_on_embedded_runs():
    known = stated()["pfedgpa"]
    names = ["pfedgpa", *known[0].arguments.baselines]
    scores = {(e, m): [60 + 9 * (m == "pfedgpa")] * 3 for e in BOTH for m in names}
    curves = {key: [curve(6)] * 3 for key in scores}
    judged = judge(known, results(scores, BOTH, curves))
    assert [each.verdict for each in judged] == [
        "supported",
        "not testable here",  # a paper-scale claim
        "undecided",  # nobody arrives
        "not testable here",  # no new clients
        "not testable here",  # one client count
        "not testable here",  # one model
    ]
    assert "24 of 24 intervals lie above the −1.0 points asked" in judged[0].evidence
    assert "Not run here: EMNIST." in judged[0].evidence


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"tests": {}}, "tests: Extra inputs are not permitted"),
        ({"status": "rumoured"}, "status: .*'published' or 'second-hand'"),
        ({"scale": "huge"}, "scale: .*'smoke', 'embedded' or 'paper'"),
        ({"test": LEAD | {"shape": "abov"}}, "test: .*'abov'.*'above', 'within', 'growth'"),
        ({"test": LEAD | {"bounds": 1.0}}, "test.bounds: Extra inputs"),
        ({"test": LEAD | {"smallest": 1.0}}, "test: .*make bound 0 or leave it out"),
        ({"test": LEAD | {"bound": 0.0, "smallest": 0.0}}, "test.smallest: .*greater than 0"),
        ({"test": LEAD | {"bound": "1"}}, "test.bound: Input should be a valid number"),
        ({"test": LEAD | {"bound": math.nan}}, "test.bound: Input should be a finite number"),
        ({"test": of(LEAD, margin=1.0)}, "test.of.margin: Extra inputs"),
        (
            {"test": of(LEAD, baselines=["fedavg", "dito"])},
            r"test.of.baselines.1: .*'dito' is no me",
        ),
        ({"test": of(LEAD, baselines=[])}, "test.of.baselines: .*at least 1 item"),
        ({"test": of(LEAD, baselines=["ditto", "ditto"])}, "test.of: .*name ditto twice"),
        ({"test": of(NEWCOMERS, against=["guided"])}, "test.of: .*arm and against name one twice"),
        (
            {"test": above("rounds_to_accuracy", **LEAD["of"])},
            "test.of.reference: Field required",
        ),
    ],
)
def test_a_wrong_key_names_file_claim_key_and_the_way_out(tmp_path, change, match):
    with pytest.raises(UserError, match=match) as error:
        claim(tmp_path, measures, **({"test": LEAD} | change))
    assert "claims.yaml: claim c has" in str(error.value)
    assert "See docs/claims.md." in str(error.value)


def test_an_unknown_measure_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"claim c: test.measure: 'acuracy' .* mean 'accuracy'\?"):
        claim(tmp_path, measures, LEAD | {"measure": "acuracy"})


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a: 1", "must be a list of claims"),
        ("- 1", "claim number 1"),
        ("- {id: a, id: b}", "'id' stands twice"),
        ("- [", "not valid YAML"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path, text, match):
    (tmp_path / "claims.yaml").write_text(text)
    with pytest.raises(UserError, match=match):
        load_claims(tmp_path / "claims.yaml", {})


def test_an_id_that_stands_twice_and_a_missing_file_are_refused(tmp_path):
    one = claim(tmp_path, measures, LEAD).entry.model_dump()
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump([one, one]))
    with pytest.raises(UserError, match="claim c stands twice"):
        load_claims(tmp_path / "claims.yaml", {"accuracy": measures.accuracy})
    with pytest.raises(UserError, match="is missing"):
        load_claims(tmp_path / "none.yaml", {})


@pytest.mark.parametrize(("value", "status"), [(81.2, "not available"), (None, "published")])
def test_a_published_value_needs_a_status_that_says_so(tmp_path, value, status):
    cell = {"methods": ["fedavg"], "datasets": ["EMNIST"], "clients": [10], "source": "table 1"}
    content = {"cells": [cell | {"value": value, "status": status}], "figures": []}
    (tmp_path / "published.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(
        UserError, match=r"published.yaml has 1 fault.*\n.*cells.0: .*value is null"
    ):
        published(tmp_path / "published.yaml")


def test_claims_are_validated_without_loading_anything_heavy():
    code = (
        "import sys; from fedgenbench.systems.claims import stated; stated(); "
        "print({'torch', 'pandas', 'scipy', 'jinja2', 'typst'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
