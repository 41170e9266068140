import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from fedgenbench.report.statistics import (
    Interval,
    mean_interval,
    paired_difference,
    significantly_best,
)

accuracies = st.lists(st.floats(0, 1), min_size=3, max_size=12)


def test_interval_by_hand():
    # Mean 2, standard deviation 1, n = 3, and the 97.5 % quantile of t with 2 degrees: 4.302653.
    interval = mean_interval([1, 2, 3])
    half = 4.302652729749462 / math.sqrt(3)
    assert interval.n == 3
    assert interval.mean == 2
    np.testing.assert_allclose([interval.low, interval.high], [2 - half, 2 + half], rtol=1e-12)


@given(accuracies, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_interval_is_scipys(values, confidence):
    interval = mean_interval(values, confidence)
    error = scipy.stats.sem(values)
    if error == 0:
        assert interval.low == interval.mean == interval.high
    else:
        expected = scipy.stats.t.interval(confidence, len(values) - 1, np.mean(values), error)
        np.testing.assert_allclose([interval.low, interval.high], expected, rtol=1e-9, atol=1e-12)


@given(accuracies, st.floats(-2, 2), st.floats(0.1, 100))
def test_interval_moves_with_its_values(values, shift, factor):
    moved = mean_interval([factor * v + shift for v in values])
    scaled = mean_interval(values).scaled(factor)
    np.testing.assert_allclose(
        [moved.mean, moved.low, moved.high],
        [end + shift for end in (scaled.mean, scaled.low, scaled.high)],
        atol=1e-7,
    )


def test_fewer_than_three_seeds_have_no_interval():
    assert mean_interval([0.7]) == Interval(0.7, None, None, 1)
    assert mean_interval([0.25, 0.75]) == Interval(0.5, None, None, 2)
    assert mean_interval([0.7]).half is None
    assert mean_interval([0.7]).scaled(100).low is None


@pytest.mark.parametrize("values", [[], [0.1, float("nan")], [float("inf")]])
def test_no_mean_without_finite_values(values):
    with pytest.raises(ValueError, match="finite"):
        mean_interval(values)


def test_pairs_are_matched_by_seed_not_by_place():
    a = pd.Series({0: 0.8, 1: 0.7, 2: 0.9})
    b = pd.Series({2: 0.7, 0: 0.7, 5: 0.0})
    assert paired_difference(a, b) == mean_interval([0.8 - 0.7, 0.9 - 0.7])
    assert paired_difference(a, b).mean == pytest.approx(0.15)
    with pytest.raises(ValueError):
        paired_difference(a, pd.Series({7: 0.5}))


@given(accuracies, st.data())
def test_difference_is_antisymmetric(values, data):
    a = pd.Series(values)
    b = pd.Series(data.draw(st.lists(st.floats(0, 1), min_size=len(a), max_size=len(a))))
    there, back = paired_difference(a, b), paired_difference(b, a)
    np.testing.assert_allclose(
        [there.mean, there.low, there.high], [-back.mean, -back.high, -back.low], atol=1e-12
    )


def test_pairing_sees_what_single_intervals_hide():
    split = np.array([0.60, 0.70, 0.80])
    frame = pd.DataFrame({"a": split + np.array([0.020, 0.021, 0.022]), "b": split})
    assert mean_interval(frame["a"]).low < mean_interval(frame["b"]).high
    assert significantly_best(frame) == {"a"}


def test_one_close_rival_takes_the_bold_away():
    frame = pd.DataFrame({"a": [0.80, 0.81, 0.82], "b": [0.79, 0.82, 0.80], "c": [0.1, 0.1, 0.1]})
    assert significantly_best(frame) == set()
    assert significantly_best(frame[["a", "c"]]) == {"a"}


def test_nothing_is_bold_without_a_comparison():
    assert significantly_best(pd.DataFrame()) == set()
    assert significantly_best(pd.DataFrame({"a": [0.9, 0.9]})) == set()
    assert significantly_best(pd.DataFrame({"a": [0.9], "b": [0.1]})) == set()
    assert significantly_best(pd.DataFrame({"a": [0.9, 0.9], "b": [0.1, 0.1]})) == set()
    no_common_seed = pd.DataFrame({"a": [0.9, 0.9, np.nan], "b": [np.nan, 0.1, 0.1]})
    assert significantly_best(no_common_seed) == set()


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=2, max_size=6))
def test_bold_is_at_most_the_highest_mean(rows):
    frame = pd.DataFrame(rows, columns=["a", "b", "c"])
    assert significantly_best(frame) <= {frame.mean().idxmax()}
