import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from fedgenbench.report.power import (
    equivalence_p_value,
    holm,
    p_value,
    power,
    seeds_needed,
)
from fedgenbench.report.statistics import mean_interval

values = st.lists(st.floats(-10, 10), min_size=3, max_size=12)


@given(values, st.floats(-5, 5))
def test_the_p_value_is_that_of_the_t_test(values, bound):
    sd = np.std(values, ddof=1)
    if sd < 1e-6:
        return
    expected = scipy.stats.ttest_1samp(values, bound).pvalue
    found = p_value(np.mean(values), sd, len(values), bound)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


def test_slack_widens_and_without_spread_the_answer_is_sure():
    assert p_value(3.0, 1.0, 3, slack=1.0) == pytest.approx(p_value(2.0, 1.0, 3))
    assert p_value(0.5, 1.0, 3, slack=1.0) == 1
    assert p_value(1.0, 0.0, 3) == 0
    assert p_value(1.0, 0.0, 3, bound=1.0) == 1


@given(values, st.floats(0.1, 10))
def test_equivalence_holds_where_the_interval_lies_inside(values, smallest):
    interval = mean_interval(values)
    inside = -smallest < interval.low and interval.high < smallest
    p = equivalence_p_value(
        float(np.mean(values)), float(np.std(values, ddof=1)), len(values), smallest
    )
    near = min(abs(smallest + interval.low), abs(smallest - interval.high)) < 1e-9
    assert near or inside == (p < 0.05)


def test_holm_by_hand():
    # 0.01 <= 0.05/4; 0.015 <= 0.05/3; 0.03 > 0.05/2 keeps all from there on.
    fallen, levels = holm([0.04, 0.01, 0.03, 0.015], 0.05)
    assert fallen == [False, True, False, True]
    np.testing.assert_allclose(levels, [0.05 / 2, 0.05 / 4, 0.05 / 2, 0.05 / 3])
    assert holm([], 0.05) == ([], [])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_bonferroni_and_no_correction(p_values):
    fallen, _ = holm(p_values, 0.05)
    for p, falls in zip(p_values, fallen, strict=True):
        assert not falls or p <= 0.05
        assert falls or p > 0.05 / len(p_values)


@pytest.mark.parametrize(
    ("effect", "sd", "comparisons", "seeds"),
    [  # Sizes and spreads as they were once measured, and what they take at 80 % power.
        (-3.8, 0.7, 24, 5),
        (-4.3, 2.6, 24, 11),
        (16.6, 7.0, 1, 4),
        (4.7, 7.5, 1, 22),
        (-5.7, 11.1, 1, 32),
        (-4.7, 3.4, 8, 11),
        (-10.8, 4.3, 5, 6),
        (5.5, 6.5, 1, 14),
        (5.9, 2.7, 1, 4),
        (4.5, 3.2, 1, 7),
        (4.7, 5.6, 1, 14),
        (1.4, 1.5, 1, 12),
    ],
)
def test_seeds_that_a_comparison_takes(effect, sd, comparisons, seeds):
    level = 0.05 / comparisons
    assert seeds_needed(effect, sd, level) == seeds
    # By the noncentral t of another library.
    for count, enough in ((seeds, True), (seeds - 1, False)):
        if count < 3:
            continue
        threshold = scipy.stats.t.ppf(1 - level / 2, count - 1)
        chance = scipy.stats.nct.sf(threshold, count - 1, abs(effect) / sd * math.sqrt(count))
        assert power(effect, sd, count, level) == pytest.approx(chance, abs=1e-6)
        assert (chance >= 0.8) == enough


def test_no_number_of_seeds_is_enough_for_nothing_and_three_for_what_is_sure():
    assert seeds_needed(0.01, 1.0, 0.05) is None
    assert seeds_needed(1.0, 0.0, 0.05) == 3
    assert seeds_needed(0.0, 0.0, 0.05) is None
    assert seeds_needed(1e6, 1.0, 0.05) == 3
