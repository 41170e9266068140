"""What claims are judged from: differences and values by seed, measured by functions that have a name.

A system's ``measures.py`` holds such functions, each under ``@measure``; its ``claims.yaml`` calls them
by name. Loads nothing heavy, so that claims are checked in a dry run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fedgenbench.core.settings import Strict
from fedgenbench.report.power import equivalence_p_value, p_value, seeds_needed

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    import pandas as pd

    from fedgenbench.report.results import Results
    from fedgenbench.report.statistics import Interval


@dataclass(frozen=True, eq=False)
class Difference:
    """``ahead - behind``, both by seed.

    what: in words, without the place.
    titles: of the experiments that it comes from.
    factor: makes the measure's unit of both.
    slack: how far the measurement itself may be off; it widens the interval at both ends.
    experiment: the id, where it comes from one alone.
    answers: of both by seed and test image, as ``paired.paired_answers`` gives them, where that is known.
    """

    what: str
    titles: tuple[str, ...]
    ahead: pd.Series
    behind: pd.Series
    factor: float = 1.0
    slack: float = 0.0
    experiment: str = ""
    answers: np.ndarray | None = None

    @property
    def words(self) -> str:
        return f"{self.what} ({self.titles[0]})" if len(self.titles) == 1 else self.what

    @property
    def seeds(self) -> list[int]:
        return sorted((self.ahead - self.behind).dropna().index)

    def p_value(self, bound: float) -> float:
        """Of the paired t-test that the mean is ``bound``, in the measure's unit."""
        return p_value(*self._moments, bound, self.slack)

    def p_value_of_none(self, smallest: float) -> float:
        """Of the tests that the mean lies within ``smallest`` of zero."""
        return equivalence_p_value(*self._moments, smallest, self.slack)

    def seeds_needed(self, bound: float, level: float, inside: bool = False) -> int | None:
        """Seeds that would show the mean beyond ``bound``, or within it of zero; None: too many."""
        mean, sd, _ = self._moments
        distance = (bound - abs(mean) if inside else abs(mean - bound)) - self.slack
        return seeds_needed(distance, sd, level) if distance > 0 else None

    def over_images(self, confidence: float) -> Interval | None:
        """The interval over seeds and test images together, where answers are known."""
        from fedgenbench.report.paired import crossed_interval

        if self.answers is None:
            return None
        return crossed_interval(self.answers, confidence).scaled(self.factor)

    @property
    def _moments(self) -> tuple[float, float, int]:
        """Mean, standard deviation over seeds, and their number."""
        values = self.factor * (self.ahead - self.behind).dropna()
        return float(values.mean()), float(values.std(ddof=1)), len(values)

    def interval(self, confidence: float) -> Interval:
        from fedgenbench.report.statistics import Interval, paired_difference

        ahead, behind = self.factor * self.ahead, self.factor * self.behind
        plain = paired_difference(ahead, behind, confidence)
        assert plain.low is not None  # it is asked where seeds are enough
        assert plain.high is not None
        return Interval(plain.mean, plain.low - self.slack, plain.high + self.slack, plain.n)


@dataclass
class Measured:
    """What the runs hold of a claim.

    differences: what has to lie above a bound.
    values: title of an experiment -> a value by seed, which has to lie near another one.
    missing: what is not there, in words; it keeps a claim from being supported.
    notes: sentences of what is noteworthy.
    """

    differences: list[Difference] = field(default_factory=list)
    values: dict[str, pd.Series] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Measure:
    """A function of the results and a claim's arguments, of type ``arguments``.

    learnt: can what it finds against a claim be due to methods that had not learnt enough?
    """

    name: str
    unit: str
    arguments: type[Strict]
    function: Callable[[Results, Any], Measured]
    learnt: bool = True

    def __call__(self, results: Results, arguments: Strict) -> Measured:
        return self.function(results, arguments)


def measure(
    arguments: type[Strict], unit: str, learnt: bool = True
) -> Callable[[Callable[[Results, Any], Measured]], Measure]:
    """Gives a function the name under which claims call it, its own."""

    def named(function: Callable[[Results, Any], Measured]) -> Measure:
        return Measure(function.__name__, unit, arguments, function, learnt)

    return named


def measures_of(module: ModuleType) -> dict[str, Measure]:
    """The measures of a system's module, by name."""
    return {each.name: each for each in vars(module).values() if isinstance(each, Measure)}
