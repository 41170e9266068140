"""Effects with their intervals, one below the other: numbers in words beside bars on a common axis.

The geometry is in shares of the axis' width, so that a browser and typst draw it at any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from fedgenbench.report.statistics import Interval
from fedgenbench.report.words import typeset, verdict, with_half

# How far an axis reaches beyond means, bounds and published effects, in their spread: an interval that
# is much wider than all of them lie apart is cut, with an arrow.
_ROOM = 0.6
# What a difference shows -> tone and symbol.
_SHOWN = {"higher": ("good", "▲"), "lower": ("bad", "▼"), "open": ("", ""), "unknown": ("mute", "")}


@dataclass(frozen=True)
class Effect:
    """A difference in ``unit``; ``interval`` None where nothing was measured.

    published: lowest and highest effect that a paper prints.
    tone: of what it shows, as of ``tables.Cell``; symbol: the same for whoever sees no colours.
    link: where it is told in full.
    """

    label: str
    interval: Interval | None
    unit: str = "points"
    bound: float = 0.0
    published: tuple[float, float] | None = None
    tone: str = ""
    symbol: str = ""
    link: str = ""

    @classmethod
    def of_shares(cls, label: str, difference: Interval | None) -> Effect:
        """Of a paired difference of accuracies in [-1, 1], in points, with the tone of what it shows."""
        scaled = difference and difference.scaled(100)
        tone, symbol = _SHOWN[verdict(difference)]
        return cls(label, scaled, tone=tone, symbol=symbol)

    @property
    def text(self) -> str:
        """Such as ``+4.7 ± 14.0``."""
        return "–" if self.interval is None else with_half(self.interval)

    @property
    def published_text(self) -> str:
        """Such as ``+1.2 to +5.1``; empty where nothing is published."""
        if self.published is None:
            return ""
        return " to ".join(dict.fromkeys(map(typeset, self.published)))


@dataclass(frozen=True)
class Forest:
    """Effects under one caption; those of one unit share an axis."""

    id: str
    caption: str
    effects: Sequence[Effect]

    @property
    def panels(self) -> list[dict[str, Any]]:
        """What templates draw: unit, place of the bound, ends of the axis, rows."""
        ordered = sorted(self.effects, key=lambda effect: self._units.index(effect.unit))
        return [_panel(unit, list(rows)) for unit, rows in groupby(ordered, lambda e: e.unit)]

    @property
    def _units(self) -> list[str]:
        return list(dict.fromkeys(effect.unit for effect in self.effects))

    @property
    def shows_published(self) -> bool:
        return any(effect.published for effect in self.effects)


def _panel(unit: str, effects: Sequence[Effect]) -> dict[str, Any]:
    low, high = _axis(effects)

    def place(value: float) -> float:
        return round(float(np.clip((value - low) / (high - low), 0, 1)), 4)

    rows = []
    for effect in effects:
        row: dict[str, Any] = {
            "label": effect.label,
            "link": effect.link,
            "tone": effect.tone,
            "symbol": effect.symbol,
            "text": effect.text,
            "published": effect.published_text,
            "bound": place(effect.bound),
            "mean": None,
            "bar": None,
            "cut": [False, False],
            "marks": None,
        }
        interval = effect.interval
        if interval is not None:
            row["mean"] = place(interval.mean)
            if interval.low is not None and interval.high is not None:
                row["bar"] = [place(interval.low), place(interval.high)]
                row["cut"] = [interval.low < low, interval.high > high]
        if effect.published is not None:
            row["marks"] = [place(end) for end in effect.published]
        rows.append(row)
    return {"unit": unit, "ends": [_end(low), _end(high)], "zero": place(0.0), "rows": rows}


def _axis(effects: Sequence[Effect]) -> tuple[float, float]:
    """The ends of the axis: what has to be seen, and intervals as far as there is room."""
    seen = [0.0]
    ends = []
    for effect in effects:
        seen += [effect.bound, *(effect.published or ())]
        if effect.interval is not None:
            seen.append(effect.interval.mean)
            ends += [e for e in (effect.interval.low, effect.interval.high) if e is not None]
    room = max(_ROOM * (max(seen) - min(seen)), 1e-9)
    low, high = min([*seen, *ends]), max([*seen, *ends])
    low, high = max(low, min(seen) - room), min(high, max(seen) + room)
    margin = 0.03 * (high - low) or 1.0
    return low - margin, high + margin


def _end(value: float) -> str:
    return typeset(value, "+z.0f" if abs(value) >= 10 else "+z.1f")
