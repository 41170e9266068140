from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_runs import results

from fedgenbench.report.collect import ANSWERS
from fedgenbench.report.coverage import SCENARIOS, Scenario, coverage
from fedgenbench.report.paired import crossed_interval, paired_answers
from fedgenbench.report.statistics import mean_interval

tables = st.integers(3, 6).flatmap(
    lambda seeds: st.integers(2, 8).flatmap(
        lambda images: st.lists(
            st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=images, max_size=images),
            min_size=seeds,
            max_size=seeds,
        )
    )
)


def test_the_interval_by_hand():
    # Means of seeds 1, 2, 3 and of images 1, 3: MS_S = 2, MS_I = 6, no interaction.
    table = np.array([[0.0, 2.0], [1.0, 3.0], [2.0, 4.0]])
    interval = crossed_interval(table)
    half = 4.302652729749462 * np.sqrt((2 + 6) / 6)
    np.testing.assert_allclose([interval.mean, interval.half, interval.n], [2, half, 3])


@given(tables)
def test_it_is_never_narrower_than_the_interval_over_seeds(table):
    table = np.array(table)
    both, seeds = crossed_interval(table), mean_interval(table.mean(1))
    assert both.mean == pytest.approx(seeds.mean)
    assert both.half >= seeds.half - 1e-9


def test_it_is_the_interval_over_seeds_where_all_images_are_alike():
    table = np.array([[0.0] * 4, [1.0] * 4, [-1.0] * 4])
    both, seeds = crossed_interval(table), mean_interval(table.mean(1))
    np.testing.assert_allclose([both.low, both.high], [seeds.low, seeds.high])


def test_two_seeds_or_one_image_have_none():
    for shape in ((2, 5), (3, 1)):
        with pytest.raises(ValueError, match="3 seeds and two images"):
            crossed_interval(np.zeros(shape))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_over_both_hold_the_truth_often_enough(scenario, seeds):
    held, _ = coverage(scenario, seeds, 60, draws=400)["together"]
    assert held > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 400)


def test_the_interval_over_seeds_misses_what_images_do():
    of_images = Scenario("images", seed=0.01, method_image=1.0)
    found = coverage(of_images, 10, 100, draws=300)
    assert found["seeds"][0] < 0.85 < 0.9 < found["together"][0]


def test_the_truth_is_what_many_draws_have():
    scenario = Scenario("ahead", levels=(0.5, 0.0), seed=0.2, method_image=0.5)
    generator = np.random.default_rng(0)
    mean = np.mean([scenario.differences(generator, 20, 200).mean() for _ in range(400)])
    assert mean == pytest.approx(scenario.truth, abs=0.005)


# Answers of runs --------------------------------------------------------------------------------
MODELS = [{"job": "federate", "name": name, "model": "global"} for name in ("a", "b")]


def with_answers(of_seed, digest=lambda seed: "same"):
    """Runs with answers to test images of two clients, three of the first and one of the second."""
    made = results()
    experiment = next(iter(made.experiments))
    rows = [
        (experiment, "federate", name, seed, -1, "global", digest(seed), [3, 1], bytes([bits]))
        for (name, seed), bits in of_seed.items()
    ]
    return replace(made, answers=pd.DataFrame(rows, columns=list(ANSWERS))), experiment


def test_answers_are_paired_by_seed_and_clients_weigh_alike():
    a, b = 0b11110000, 0b01100000
    made, experiment = with_answers({(n, s): x for n, x in (("a", a), ("b", b)) for s in range(3)})
    paired = paired_answers(made, experiment, MODELS)
    # The first image of the first client, and the only one of the second.
    np.testing.assert_allclose(paired, [[4 / 6, 0, 0, 4 / 2]] * 3)
    assert paired.mean() == pytest.approx((1 / 3 + 1) / 2)


def test_seeds_with_images_of_their_own_or_too_few_are_not_paired():
    bits = {(name, seed): 0 for name in "ab" for seed in range(3)}
    made, experiment = with_answers(bits, digest=str)
    assert paired_answers(made, experiment, MODELS) is None
    del bits["b", 2]
    made, experiment = with_answers(bits)
    assert paired_answers(made, experiment, MODELS) is None
    assert paired_answers(made, "elsewhere", MODELS) is None
