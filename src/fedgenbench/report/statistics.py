"""Means, intervals and the rule for bold print, over seeds.

Intervals are Student's t-intervals: seeds are few and the spread is estimated from them. A mean of
fewer than ``SEEDS`` seeds stands alone: of two, a 95 % interval is 12.7 standard errors wide to either
side, which says nothing. Two methods are compared on the seeds that both ran, because a seed fixes
data split and initial weights, and the difference within a seed varies much less than the scores do.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

SEEDS = 3


@dataclass(frozen=True)
class Interval:
    """A mean over ``n`` seeds; ``low`` and ``high`` are None where there are fewer than ``SEEDS``.

    by_seed: the values that it is of, where they are known.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    by_seed: Mapping[int, float] = field(default_factory=dict, compare=False)

    @property
    def half(self) -> float | None:
        return None if self.high is None else self.high - self.mean

    def scaled(self, factor: float) -> "Interval":
        """The interval in another unit, e.g. per cent; ``factor`` is positive."""
        low, high = (None if end is None else end * factor for end in (self.low, self.high))
        by_seed = {seed: value * factor for seed, value in self.by_seed.items()}
        return Interval(self.mean * factor, low, high, self.n, by_seed)


def mean_interval(values: Iterable[float], confidence: float = 0.95) -> Interval:
    """Mean and two-sided t-interval of independent values, one per seed; from ``SEEDS`` values on.

    Raises ValueError when there is no value or one is not finite.
    """
    array = np.asarray(list(values), dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"a mean needs finite values, got {array.tolist()}")
    mean = float(array.mean())
    if array.size < SEEDS:
        return Interval(mean, None, None, array.size)
    # The quantile from scipy.special: importing scipy.stats costs two seconds in every job.
    from scipy.special import stdtrit

    quantile = float(stdtrit(array.size - 1, 0.5 + confidence / 2))
    half = quantile * float(array.std(ddof=1)) / math.sqrt(array.size)
    return Interval(mean, mean - half, mean + half, array.size)


def paired_difference(a: pd.Series, b: pd.Series, confidence: float = 0.95) -> Interval:
    """Mean and t-interval of ``a - b`` over the seeds (index) that both series hold.

    Raises ValueError when no seed is common.
    """
    return mean_interval((a - b).dropna(), confidence)


def significantly_best(frame: pd.DataFrame, confidence: float = 0.95) -> set[str]:
    """The method to print bold: the highest mean, if it beats every other one by itself.

    ``frame`` has one row per seed and one column per contender (no controls), NaN for a missing
    run; higher is better. The result holds one method, or none when some paired interval against
    another contender reaches zero or does not exist (fewer than ``SEEDS`` common seeds).

    All comparisons must succeed together, so no correction for their number is due.
    """
    frame = frame.dropna(axis="columns", how="all")
    if frame.shape[1] < 2:
        return set()
    best = frame.mean().idxmax()
    for rival in frame.columns.drop(best):
        common = frame[[best, rival]].dropna()
        if len(common) < SEEDS:
            return set()
        low = paired_difference(common[best], common[rival], confidence).low
        if low is None or low <= 0:
            return set()
    return {best}
