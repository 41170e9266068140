"""Tables: built from results once, written by ``table_formats``.

Accuracies are in per cent, communication in MB (10^6 bytes) per client and round.
"""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import pandas as pd

from fedgenbench.report.results import Results
from fedgenbench.report.statistics import Interval
from fedgenbench.report.words import signed

MISSING = "n/a"
_NOTHING = (MISSING, "", "not run", "no data")


@dataclass(frozen=True)
class Cell:
    """What is printed, and the number behind it (in the column's unit) when there is one.

    tone: "", "good", "bad", "open" or "mute" colours a verdict where the format has colours.
    """

    text: str = MISSING
    bold: bool = False
    interval: Interval | None = None
    tone: str = ""

    @property
    def parts(self) -> tuple[str, str]:
        """The printed mean and half interval; the second is empty without an interval."""
        if self.interval is None:
            return self.text, ""
        mean, _, half = self.text.partition(" ± ")
        return mean, half

    @property
    def seeds(self) -> str:
        """The value of each seed, such as ``0:81.2 1:80.1``; empty where they are not known."""
        values = self.interval.by_seed if self.interval else {}
        return " ".join(f"{seed}:{value:.4g}" for seed, value in values.items())


@dataclass(frozen=True)
class Column:
    """``group`` is the upper header; neighbours of one group share it.

    unit: None for a column of text, "" for numbers without one.
    measured: of time or memory, which come out otherwise the next time.
    experiment: whose runs are behind its cells, where they are of one.
    """

    label: str
    group: str = ""
    unit: str | None = None
    measured: bool = False
    experiment: str = ""


def names_of(kind: str, name: str) -> tuple[str, str]:
    """What rows call the job ``name`` of a kind."""
    return name, f"{kind}-{name}"


@dataclass(frozen=True)
class Row:
    """``group`` is the block of rows it stands in; blocks are set apart by rules.

    experiment: as of ``Column``. link: an address of what the row is about.
    jobs: what is behind its cells, each as ``kind-name``; where empty, the job that is called as the row.
    """

    id: str
    label: str
    cells: tuple[Cell, ...]
    group: str = ""
    experiment: str = ""
    link: str = ""
    jobs: tuple[str, ...] = ()

    @property
    def behind(self) -> tuple[str, ...]:
        """Names of the jobs behind its cells, of those that ``names_of`` gives a job."""
        return self.jobs or (self.id,)


@dataclass(frozen=True)
class Table:
    """A table before any format. Raises ValueError for a row that does not fit the columns.

    measured_notes: what is said of measured columns alone.
    """

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    stub: str = "Method"
    measured_notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(
                    f"table {self.id}: row {row.id} has {len(row.cells)} cells "
                    f"for {len(self.columns)} columns"
                )

    def address(self, row: Row, column: Column | None = None) -> str:
        """The anchor of a row, or of a cell: the same as long as their names are."""
        parts = [row.group, row.id, *((column.group, column.label) if column else ())]
        # A job's digest tells it from all others.
        return (
            f"{self.id}.{row.id}" if self.id == "jobs" else f"{self.id}.{_short('/'.join(parts))}"
        )

    @property
    def spans(self) -> list[tuple[str, int]]:
        """The upper header as (label, number of columns); empty when no column has a group."""
        runs = [(g, len(list(cs))) for g, cs in groupby(self.columns, lambda c: c.group)]
        return runs if any(group for group, _ in runs) else []

    @property
    def shows_units(self) -> bool:
        """Whether the header names units: not where all columns have the same, which a note says."""
        return len({column.unit for column in self.columns}) > 1

    @property
    def blocks(self) -> list[tuple[str, list[Row]]]:
        """Rows by block, as (label, rows)."""
        return [(g, list(rows)) for g, rows in groupby(self.rows, lambda row: row.group)]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def without_empty_columns(table: Table) -> Table:
    """The table without columns that say nothing in any row."""
    kept = [
        place
        for place in range(len(table.columns))
        if any(row.cells[place].text not in _NOTHING for row in table.rows)
    ]
    return _with_columns(table, kept) if table.rows else table


def apart(tables: Iterable[Table]) -> tuple[list[Table], list[Table]]:
    """The tables without empty and measured columns; and the measured alone, as ``measured_<id>``."""
    results, measured = [], []
    for table in map(without_empty_columns, tables):
        if not any(column.measured for column in table.columns):
            results.append(table)
            continue
        if not all(column.measured for column in table.columns):
            results.append(replace(_columns(table, measured=False), measured_notes=()))
        measured.append(
            replace(
                _columns(table, measured=True),
                id=f"measured_{table.id}",
                caption=f"{table.caption.removesuffix('.')} (measured on this machine)",
                notes=(*table.measured_notes, *table.notes),
                measured_notes=(),
            )
        )
    return results, measured


def _columns(table: Table, measured: bool) -> Table:
    return _with_columns(
        table, [place for place, c in enumerate(table.columns) if c.measured == measured]
    )


def _with_columns(table: Table, kept: Sequence[int]) -> Table:
    rows = [replace(row, cells=tuple(row.cells[place] for place in kept)) for row in table.rows]
    return replace(table, columns=tuple(table.columns[place] for place in kept), rows=tuple(rows))


def percent(interval: Interval, bold: bool = False) -> Cell:
    """A cell such as ``81.2 ± 0.6`` from an accuracy (or difference) in [-1, 1]."""
    scaled = interval.scaled(100)
    text = f"{scaled.mean:.1f}"
    if scaled.half is not None:
        text += f" ± {scaled.half:.1f}"
    return Cell(text, bold, scaled)


def decimals(interval: Interval, digits: int = 2) -> Cell:
    """A cell such as ``0.42 ± 0.05`` of a number without a unit."""
    text = f"{interval.mean:.{digits}f}"
    if interval.half is not None:
        text += f" ± {interval.half:.{digits}f}"
    return Cell(text, False, interval)


def whole(interval: Interval) -> Cell:
    """A cell such as ``1,200``, without the interval."""
    return Cell(f"{interval.mean:,.0f}", False, interval)


def points(interval: Interval | None) -> Cell:
    """A cell such as ``+0.3 ± 0.5`` from a difference in [-1, 1]."""
    return Cell(signed(interval), False, interval.scaled(100)) if interval else Cell()


def cells_of(
    results: Results, by_seed: pd.DataFrame, show: Callable[[Interval], Cell], *columns: Hashable
) -> list[Cell]:
    """A cell for each of the columns, n/a where the frame has none or no value in it."""
    return [
        show(results.interval(by_seed[column]))
        if column in by_seed and by_seed[column].notna().any()
        else Cell()
        for column in columns
    ]
