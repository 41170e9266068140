"""Differences and lists in words: what tables and texts of all papers share."""

from collections.abc import Sequence

import pandas as pd

from fedgenbench.evaluation.statistics import Interval, mean_interval
from fedgenbench.reporting.results import Results


def difference(results: Results, a: pd.Series, b: pd.Series) -> Interval | None:
    """Paired ``a - b`` over common seeds; None where there is none."""
    paired = (a - b).dropna()
    return mean_interval(paired, results.confidence) if len(paired) else None


def signed(interval: Interval) -> str:
    """A difference of accuracies in [-1, 1] as points, such as ``+0.3 ± 0.5``."""
    mean = round(100 * interval.mean, 1) + 0.0  # no minus zero
    text = f"{mean:+.1f}".replace("-", "−")
    return text if interval.half is None else f"{text} ± {100 * interval.half:.1f}"


def verdict(interval: Interval) -> str:
    """What a paired difference shows: "higher", "lower", "open" or, with one seed, "unknown"."""
    if interval.half is None:
        return "unknown"
    if interval.low > 0:
        return "higher"
    return "lower" if interval.high < 0 else "open"


def absences(results: Results, warmfed: bool, role: str | None = None) -> dict[str, list[str]]:
    """Reason -> titles of the experiments without runs for it: WarmFed's, of a role, or the others."""
    reasons: dict[str, list[str]] = {}
    for entry in results.absent_from(warmfed, role).values():
        reasons.setdefault(entry["reason"], []).append(entry["title"])
    return reasons


def percent_text(interval: Interval) -> str:
    scaled = interval.scaled(100)
    return f"{scaled.mean:.0f}" + ("" if scaled.half is None else f" ± {scaled.half:.0f}")


def listed(names: Sequence[str]) -> str:
    *head, last = names
    return f"{'; '.join(head)} and {last}" if head else last
