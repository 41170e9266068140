"""Differences and lists in words: what tables and texts of all papers share."""

from collections.abc import Collection, Sequence

import pandas as pd

from fedgenbench.core.wording import counted
from fedgenbench.report.results import Results
from fedgenbench.report.statistics import SEEDS, Interval, mean_interval


def difference(results: Results, a: pd.Series, b: pd.Series) -> Interval | None:
    """Paired ``a - b`` over common seeds; None where there is none."""
    paired = (a - b).dropna()
    return mean_interval(paired, results.confidence) if len(paired) else None


def typeset(value: float, form: str = "+z.1f") -> str:
    """A number with a true minus; the ``z`` of ``form`` keeps zero from having one."""
    return f"{value:{form}}".replace("-", "−")


def with_half(interval: Interval) -> str:
    """A difference and half of its interval, such as ``+0.3 ± 0.5``."""
    text = typeset(interval.mean)
    return text if interval.half is None else f"{text} ± {interval.half:.1f}"


def signed(interval: Interval) -> str:
    """A difference of accuracies in [-1, 1] as points, such as ``+0.3 ± 0.5``."""
    return with_half(interval.scaled(100))


def verdict(interval: Interval | None) -> str:
    """What a paired difference shows: "higher", "lower", "open"; "unknown" below ``SEEDS`` seeds."""
    if interval is None or interval.low is None or interval.high is None:
        return "unknown"
    if interval.low > 0:
        return "higher"
    return "lower" if interval.high < 0 else "open"


def spread_note(results: Results, seeds: Collection[int], bold: bool = False) -> str:
    """What stands behind a table's numbers, which come from these numbers of seeds.

    ``bold``: whether the table marks the best row.
    """
    most = max(seeds)
    if most < SEEDS:
        few = "One seed gives no" if most == 1 else "Two seeds give no useful"
        return f"{few} interval: means alone{', nothing in bold' if bold else ''}."
    over = counted(most, "seed") if min(seeds) == most else "seeds"
    note = f"Mean ± half width of the {results.level} t-interval over {over}."
    if min(seeds) < SEEDS:
        note += f" A mean of fewer than {SEEDS} seeds stands alone."
    if bold:
        note += (
            " Bold: better than every other row that is no control, by paired "
            f"{results.level} intervals."
        )
    return note


def percent_text(interval: Interval) -> str:
    scaled = interval.scaled(100)
    return f"{scaled.mean:.0f}" + ("" if scaled.half is None else f" ± {scaled.half:.0f}")


def listed(names: Sequence[str]) -> str:
    *head, last = names
    return f"{'; '.join(head)} and {last}" if head else last
