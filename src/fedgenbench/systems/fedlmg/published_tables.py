"""FedLMG's published numbers as columns: beside own ones of the same data, or apart as "their data"."""

from collections.abc import Mapping, Sequence

from fedgenbench.report.statistics import Interval
from fedgenbench.report.tables import Cell, Column, Row
from fedgenbench.systems.fedlmg.published import FedLMGPublished, Table

BESIDE = "Published"
APART = "Published (their data)"  # never to be read across: other images, models and budgets


def beside(
    published: FedLMGPublished,
    setting: str,
    dataset: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
) -> tuple[list[Column], list[Row], list[str]]:
    """A table of methods with what is published of its setting at its right, and the notes on that.

    Of its own data set all columns of the printed table stand there; else the averages of every data
    set that the paper has, under a head of their own.
    """
    same = published.beside(setting, dataset)
    tables = [same] if same else published.of(setting)
    if not tables:
        return list(columns), list(rows), []
    if same:
        theirs = [Column(name, BESIDE, same.unit) for name in same.columns]
        note = f"Published: {source(same)}."
    else:
        theirs = [Column(table.dataset, APART, table.unit) for table in tables]
        note = f"{APART}: averages; {'; '.join(dict.fromkeys(map(source, tables)))}."
    joined = [
        Row(row.id, row.label, (*row.cells, *_numbers(tables, row.id, bool(same))), row.group)
        for row in rows
    ]
    ours = [Column(column.label, column.group or "Here", column.unit) for column in columns]
    return [*ours, *theirs], joined, [note]


def averages(
    tables: Sequence[Table], rows: Mapping[str, Sequence[str]]
) -> tuple[list[Column], dict[str, tuple[Cell, ...]]]:
    """Columns of printed averages, a data set each, for tables that vary something else than a method.

    ``rows``: our row -> the printed ones that stand for it; of more than one it is not known which.
    """
    columns = [Column(table.dataset, APART, table.unit) for table in tables]
    cells = {}
    for row, names in rows.items():
        found = [[t.average(name) for name in names if name in t.rows] for t in tables]
        cells[row] = tuple(
            Cell() if not values else printed(values[0]) if len(values) == 1 else either(values)
            for values in found
        )
    return columns, cells


def printed(value: float | None) -> Cell:
    """A published number as it is printed, two digits of accuracies; n/a where there is none."""
    if value is None:
        return Cell()
    return Cell(f"{value:.2f}", False, Interval(value, None, None, 0))


def either(values: Sequence[float | None]) -> Cell:
    return Cell(" or ".join(f"{value:.2f}" for value in values if value is not None))


def source(table: Table) -> str:
    name = "version 1" if table.number == "v1" else f"Table {table.number}"
    return f"{name}, {table.status}, {table.source}"


def _numbers(tables: Sequence[Table], row: str, whole: bool) -> list[Cell]:
    if not whole:
        return [printed(table.average(row)) for table in tables]
    (table,) = tables
    return [printed(value) for value in table.rows.get(row, [None] * len(table.columns))]
