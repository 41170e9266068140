"""FedLMG's published numbers as columns: beside own ones of the same data, or apart as "their data"."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fedgenbench.report.statistics import Interval
from fedgenbench.report.tables import Cell, Column, Row
from fedgenbench.report.tables import Table as ReportTable
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
        replace(row, cells=(*row.cells, *_numbers(tables, row.id, bool(same)))) for row in rows
    ]
    ours = [Column(column.label, column.group or "Here", column.unit) for column in columns]
    return [*ours, *theirs], joined, [note]


def with_averages(
    table: ReportTable, parts: Sequence[tuple[str, Sequence[Table], Mapping[str, Sequence[str]]]]
) -> ReportTable:
    """``table``, whose rows are no methods, with printed averages at its right.

    A part is a head, its printed tables, a data set each, and our row -> the printed ones that stand
    for it: of two the text has lost which.
    """
    columns, rows = list(table.columns), list(table.rows)
    for head, tables, names in parts:
        columns += [Column(f"{t.dataset} ({head})", APART, t.unit) for t in tables]
        rows = [
            replace(row, cells=(*row.cells, *(_average(t, names.get(row.id, ())) for t in tables)))
            for row in rows
        ]
    sources = dict.fromkeys(source(t) for _, tables, _ in parts for t in tables)
    notes = (*table.notes, f"{APART}: {'; '.join(sources)}.")
    return replace(table, columns=tuple(columns), rows=tuple(rows), notes=notes)


def _average(table: Table, names: Sequence[str]) -> Cell:
    values = [value for name in names if (value := table.average(name)) is not None]
    if len(values) > 1:
        return Cell(" or ".join(f"{value:.2f}" for value in values))
    return printed(values[0] if values else None)


def printed(value: float | None) -> Cell:
    """A published number as it is printed, two digits of accuracies; n/a where there is none."""
    if value is None:
        return Cell()
    return Cell(f"{value:.2f}", False, Interval(value, None, None, 0))


def source(table: Table) -> str:
    name = "version 1" if table.number == "v1" else f"Table {table.number}"
    return f"{name}, {table.status}, {table.source}"


def _numbers(tables: Sequence[Table], row: str, whole: bool) -> list[Cell]:
    if not whole:
        return [printed(table.average(row)) for table in tables]
    (table,) = tables
    return [printed(value) for value in table.rows.get(row, [None] * len(table.columns))]
