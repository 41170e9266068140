"""How many seeds a comparison would take, and which of many comparisons are decided together."""

from __future__ import annotations

import math
from collections.abc import Sequence

POWER = 0.8
MOST_SEEDS = 1000  # what takes more is told as such


def p_value(mean: float, sd: float, n: int, bound: float = 0.0, slack: float = 0.0) -> float:
    """Two-sided, of the t-test that ``n`` paired differences have the mean ``bound``.

    ``sd`` is their standard deviation. ``slack`` is how far the measurement may be off; it counts
    against a difference. Without spread the answer is 0 or 1.
    """
    from scipy.special import stdtr

    distance = abs(mean - bound) - slack
    if distance <= 0:
        return 1.0
    if sd == 0:
        return 0.0
    return float(2 * stdtr(n - 1, -distance * math.sqrt(n) / sd))


def equivalence_p_value(
    mean: float, sd: float, n: int, smallest: float, slack: float = 0.0
) -> float:
    """Of the two one-sided t-tests that the mean lies within ``smallest`` of zero (Schuirmann, 1987).

    Doubled, so that it is at most 1 − c where the two-sided interval of confidence c lies inside.
    """
    distance = smallest - abs(mean)
    return p_value(distance, sd, n, slack=slack) if distance > 0 else 1.0


def holm(p_values: Sequence[float], level: float) -> tuple[list[bool], list[float]]:
    """Which hypotheses fall at ``level`` for all of them together, and the level of each (Holm, 1979).

    From the smallest p-value on, each is tested at ``level`` over the number of those that are left;
    the first that stands keeps all after it.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    fallen, levels, standing = [False] * len(order), [level] * len(order), False
    for rank, place in enumerate(order):
        levels[place] = level / (len(order) - rank) if not standing else levels[order[rank - 1]]
        standing = standing or p_values[place] > levels[place]
        fallen[place] = not standing
    return fallen, levels


def power(effect: float, sd: float, n: int, level: float) -> float:
    """Chance that the two-sided t-test of ``n`` differences at ``level`` finds ``effect``."""
    from scipy.special import nctdtr, stdtrit

    threshold = float(stdtrit(n - 1, 1 - level / 2))
    return 1 - float(nctdtr(n - 1, abs(effect) / sd * math.sqrt(n), threshold))


def seeds_needed(effect: float, sd: float, level: float, at_least: int = 3) -> int | None:
    """The least number of seeds that finds ``effect`` with a chance of ``POWER``; None above
    ``MOST_SEEDS``.

    ``sd`` is that of the paired difference of a seed. From three seeds it is itself uncertain by a
    factor of 0.5 to 6, and so is the answer.
    """
    if sd == 0:
        return at_least if effect else None
    low, high = at_least - 1, at_least  # power grows with n: ``low`` has too little
    while power(effect, sd, high, level) < POWER:
        if high >= MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        if power(effect, sd, middle, level) >= POWER:
            high = middle
        else:
            low = middle
    return high
