"""Tables: built from results once, written as LaTeX, Markdown, HTML and CSV by one emitter.

Accuracies are in per cent, communication in MB (10^6 bytes) per client and round.
"""

import csv
import io
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import pandas as pd

from fedgenbench.core.files import write_text
from fedgenbench.core.wording import counted
from fedgenbench.report.rendering import HTML, LATEX, MARKDOWN, latex_document_part
from fedgenbench.report.results import FAMILIES, METRICS, Results, distinct
from fedgenbench.report.statistics import Interval
from fedgenbench.report.words import signed, spread_note

MISSING = "n/a"
ALONE = "local"  # the control in which each client trains by itself
_CSV_COLUMNS = (
    *("block", "row", "label", "header", "column", "unit"),
    *("mean", "low", "high", "n", "bold", "text"),
)


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


@dataclass(frozen=True)
class Column:
    """``group`` is the upper header; neighbours of one group share it.

    unit: None for a column of text, "" for numbers without one.
    measured: of time or memory, which come out otherwise the next time.
    """

    label: str
    group: str = ""
    unit: str | None = None
    measured: bool = False


@dataclass(frozen=True)
class Row:
    """``group`` is the block of rows it stands in; blocks are set apart by rules."""

    id: str
    label: str
    cells: tuple[Cell, ...]
    group: str = ""


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


def apart(tables: Iterable[Table]) -> tuple[list[Table], list[Table]]:
    """The tables without their measured columns; and these alone, as ``measured_<id>``."""
    results, measured = [], []
    for table in tables:
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
    kept = [place for place, column in enumerate(table.columns) if column.measured == measured]
    rows = [replace(row, cells=tuple(row.cells[place] for place in kept)) for row in table.rows]
    return replace(table, columns=tuple(table.columns[place] for place in kept), rows=tuple(rows))


def emit(table: Table, folder: Path) -> list[Path]:
    """Writes ``<id>.tex``, ``.md``, ``.html`` (a fragment) and ``.csv`` and returns their paths."""
    texts = {
        "tex": latex_document_part(LATEX.get_template("table.tex").render(table=table)),
        "md": MARKDOWN.get_template("table.md").render(table=table),
        "html": HTML.get_template("table.html").render(table=table),
        "csv": _csv(table),
    }
    paths = [Path(folder) / f"{table.id}.{suffix}" for suffix in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_text(path, text)
    return paths


def _csv(table: Table) -> str:
    """One line per cell; numbers in full precision, empty where there is none.

    An apostrophe stands before a text that a spreadsheet would take for a formula.
    """
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(_CSV_COLUMNS)
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            i = cell.interval
            numbers = ("", "", "", "") if i is None else (i.mean, i.low, i.high, i.n)
            lines.writerow(
                (
                    *map(_no_formula, (row.group, row.id, row.label)),
                    *map(_no_formula, (column.group, column.label, column.unit or "")),
                    *(*numbers, int(cell.bold), _no_formula(cell.text)),
                )
            )
    return out.getvalue()


def _no_formula(text: str) -> str:
    number = re.fullmatch(r"[+-]?[\d.,]+( ± [\d.,]+)?", text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not number else text


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


def method_table(
    results: Results, id: str, caption: str, metrics: Sequence[str] = ("personal",)
) -> Table:
    """Methods by experiments: a column per metric, and one for communication up and down."""
    columns, contents = [], []
    for experiment, entry in results.experiments.items():
        for metric in metrics:
            columns.append(Column(METRICS[metric], entry["title"], "%"))
            contents.append(accuracies(results, experiment, metric))
        columns.append(Column("Comm.", entry["title"], "MB"))
        contents.append(_communication(results, experiment))
    notes = ["Comm.: MB up and down, mean per client and round."]
    notes += [
        note for e in results.experiments for m in metrics if (note := alone_is_best(results, e, m))
    ]
    return by_method(results, id, caption, columns, contents, notes)


def domain_table(
    results: Results,
    experiment: str,
    id: str,
    caption: str,
    metrics: Sequence[str] = ("global", "personal"),
) -> Table:
    """Methods by the domains of one experiment, with the mean over clients, for each metric."""
    columns, contents = [], []
    for metric in metrics:
        for domain in results.domains(experiment):
            columns.append(Column(domain, METRICS[metric], "%"))
            contents.append(accuracies(results, experiment, metric, domain))
        columns.append(Column("Mean", METRICS[metric], "%"))
        contents.append(accuracies(results, experiment, metric))
    results = results.select(experiments=[experiment])
    notes = ["Accuracies in %. Mean: plain mean over clients."]
    notes += [note for m in metrics if (note := alone_is_best(results, experiment, m))]
    return by_method(results, id, caption, columns, contents, notes)


def by_method(
    results: Results,
    id: str,
    caption: str,
    columns: Sequence[Column],
    contents: Sequence[dict[str, Cell]],
    notes: Sequence[str],
) -> Table:
    """A random guess and every method in rows, by family.

    ``contents`` holds one mapping from method to cell per column.
    """

    def row(method: str, label: str, family: str) -> Row:
        cells = tuple(column.get(method, Cell()) for column in contents)
        return Row(method, label, cells, FAMILIES[family])

    rows = [row("random_guess", "Random guess", "control")]
    for family in FAMILIES:
        rows += [row(method, results.label(method), family) for method in results.family(family)]
    notes = (*notes, *table_notes(results))
    return Table(id, caption, tuple(columns), tuple(rows), notes)


def accuracies(
    results: Results, experiment: str, metric: str, domain: str | None = None
) -> dict[str, Cell]:
    """A column for ``by_method``: ``Results.by_seed``, the significantly best method in bold."""
    frame = results.by_seed(experiment, metric, domain)
    best = results.best(frame)
    cells = {"random_guess": percent(results.guess(experiment))}
    for method, values in frame.items():
        cells[method] = percent(results.interval(values), bold=method in best)
    return cells


def _communication(results: Results, experiment: str) -> dict[str, Cell]:
    runs = results.runs[results.runs["experiment"] == experiment]
    megabytes = (runs["bytes_up"] + runs["bytes_down"]) / 1e6
    cells = {}
    for method, values in megabytes.groupby(runs["method"]):
        if values.notna().any():
            interval = results.interval(values)
            tiny = 0 < interval.mean < 0.01
            cells[method] = Cell("<0.01" if tiny else f"{interval.mean:.2f}", False, interval)
    return cells


def table_notes(results: Results, bold: bool = True) -> list[str]:
    """What every table says about how its numbers came about, and what was mixed in it.

    ``bold``: whether the table marks the best method.
    """
    runs = results.runs
    if runs.empty:
        return ["No run of this table has been made yet."]
    seeds = runs.groupby(["experiment", "method"])["seed"].nunique()
    hardware = distinct(runs, "hardware")
    notes = [
        spread_note(results, seeds, bold),
        f"Scale: {', '.join(distinct(runs, 'scale'))}. Seeds: {_span(seeds)}. "
        f"Rounds: {_span(runs['rounds'])}. Engine: {', '.join(distinct(runs, 'engine'))}. "
        f"Hardware: {', '.join(hardware)}.",
    ]
    notes += scale_notes(runs)
    if len(hardware) > 1:
        notes.append(f"Warning: mixes runs from {len(hardware)} kinds of hardware.")
    if dirty := int(runs["git_dirty"].eq(True).sum()):
        made = f"{counted(dirty, 'run')} made in"
        notes.append(f"Warning: {made} a working tree with uncommitted changes.")
    return notes


def scale_notes(runs: pd.DataFrame) -> list[str]:
    return [
        f"Numbers at {s} scale are not the papers'."
        for s in distinct(runs, "scale")
        if s != "paper"
    ]


def _span(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low} to {high}"


def alone_is_best(results: Results, experiment: str, metric: str) -> str:
    """A warning where no method reaches clients that train alone; else, or without those, nothing."""
    means = results.by_seed(experiment, metric).mean()
    methods = means[~means.index.isin(results.family("control"))]
    if ALONE not in means or methods.empty or methods.max() >= means[ALONE]:
        return ""
    alone, best = (
        f"{results.label(m)} ({percent(results.interval(results.by_seed(experiment, metric)[m])).text} %)"
        for m in (ALONE, methods.idxmax())
    )
    return (
        f"Warning: {results.experiments[experiment]['title']}, {METRICS[metric].lower()} accuracy: "
        f"no method reaches {alone}, which is each client by itself. The nearest is {best}."
    )


def band_warnings(results: Results) -> list[str]:
    """Methods whose mean leaves the band of the controls, in words, and where training alone wins.

    The band goes from the lowest of random guess and measured controls to the highest measured one.
    """
    warnings = []
    for experiment, entry in results.experiments.items():
        for metric in ("personal", "global"):
            means = results.by_seed(experiment, metric).mean()
            controls = means[means.index.isin(results.family("control"))]
            where = f"{entry['title']}, {METRICS[metric].lower()} accuracy"
            if controls.empty and not means.empty:
                warnings.append(f"{where}: no control was run, so the band has no upper end.")
            band = {results.label(method): mean for method, mean in controls.items()}
            band["a random guess"] = results.guess(experiment).mean
            lowest = min(band, key=band.get)
            highest = None if controls.empty else max(band, key=band.get)
            for method, mean in means.drop(controls.index).items():
                text = f"{where}: {results.label(method)} ({100 * mean:.1f} %) is"
                if mean < band[lowest]:
                    warnings.append(f"{text} below {lowest} ({100 * band[lowest]:.1f} %).")
                elif highest and mean > band[highest]:
                    warnings.append(f"{text} above {highest} ({100 * band[highest]:.1f} %).")
            if alone := alone_is_best(results, experiment, metric):
                warnings.append(alone.removeprefix("Warning: "))
    return warnings
