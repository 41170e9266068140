"""Tables that are declared: which numbers of a row stand in which column, and how they are printed."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd

from fedgenbench.report.results import Results
from fedgenbench.report.statistics import Interval
from fedgenbench.report.tables import (
    Cell,
    Column,
    Row,
    Table,
    cells_of,
    decimals,
    percent,
    points,
    whole,
)


@dataclass(frozen=True)
class Shown:
    """A column that prints the number ``key`` of each row."""

    key: Hashable
    column: Column
    show: Callable[[Interval], Cell] = decimals


@dataclass(frozen=True)
class Numbers:
    """A row before it is printed.

    by_seed: seeds by keys; a key that lacks prints as n/a.
    texts: key -> what is printed as it is.
    experiment: whose runs are behind it; ``id`` is then a method's, or ``jobs`` are as of ``Row``.
    """

    id: str
    label: str
    by_seed: pd.DataFrame
    group: str = ""
    texts: Mapping[Any, str] = field(default_factory=dict)
    experiment: str = ""
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableSpec:
    """A table but for its rows. Arguments as those of ``Table``."""

    id: str
    caption: str
    columns: Sequence[Shown]
    notes: Sequence[str] = ()
    stub: str = "Method"
    measured_notes: tuple[str, ...] = ()

    def table(
        self,
        results: Results,
        rows: Iterable[Numbers],
        notes: Sequence[str] = (),
        first: Sequence[str] = (),
    ) -> Table:
        """The table of ``rows``; ``first`` stands before the spec's own notes, ``notes`` after them."""
        return Table(
            self.id,
            self.caption,
            tuple(shown.column for shown in self.columns),
            tuple(self._row(results, row) for row in rows),
            (*first, *self.notes, *notes),
            self.stub,
            self.measured_notes,
        )

    def _row(self, results: Results, row: Numbers) -> Row:
        cells: list[Cell] = []
        for shown in self.columns:
            if shown.key in row.texts:
                cells.append(Cell(row.texts[shown.key]))
            else:
                cells += cells_of(results, row.by_seed, shown.show, shown.key)
        return Row(row.id, row.label, tuple(cells), row.group, row.experiment, jobs=row.jobs)


def beside(by_seed: pd.DataFrame, **more: pd.Series) -> pd.DataFrame:
    """Seeds by keys, with ``more`` keys."""
    return pd.concat([by_seed, pd.DataFrame(more)], axis="columns")


def share(key: Hashable, label: str, group: str = "") -> Shown:
    """Of a number in [0, 1], in per cent."""
    return Shown(key, Column(label, group, "%"), percent)


def lead(key: Hashable, label: str, group: str = "") -> Shown:
    """Of a difference of accuracies in [-1, 1], in points."""
    return Shown(key, Column(label, group, "points"), points)


def number(
    key: Hashable,
    label: str,
    group: str = "",
    digits: int = 2,
    unit: str = "",
    measured: bool = False,
) -> Shown:
    return Shown(key, Column(label, group, unit, measured), partial(decimals, digits=digits))


def count(
    key: Hashable, label: str, group: str = "", unit: str = "", measured: bool = False
) -> Shown:
    return Shown(key, Column(label, group, unit, measured), whole)


def words(key: Hashable, label: str, group: str = "", unit: str | None = None) -> Shown:
    """Of a text; ``unit`` "" sets it as a number."""
    return Shown(key, Column(label, group, unit))
