"""A table as LaTeX, Markdown, HTML and CSV, and a paper that takes in all LaTeX tables."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from fedgenbench.core.files import write_text
from fedgenbench.report.latex_columns import latex_columns
from fedgenbench.report.rendering import HTML, LATEX, MARKDOWN, latex_document_part
from fedgenbench.report.tables import Table

_CSV_COLUMNS = (
    *("block", "row", "label", "header", "column", "unit"),
    *("mean", "low", "high", "n", "bold", "text"),
    *("experiment", "jobs"),
)


def emit(table: Table, folder: Path) -> list[Path]:
    """Writes ``<id>.tex``, ``.md``, ``.html`` (a fragment) and ``.csv`` and returns their paths."""
    texts = {
        "tex": latex_document_part(
            LATEX.get_template("table.tex").render(table=table, columns=latex_columns(table))
        ),
        "md": MARKDOWN.get_template("table.md").render(table=table),
        "html": HTML.get_template("table.html").render(table=table),
        "csv": _csv(table),
    }
    paths = [Path(folder) / f"{table.id}.{suffix}" for suffix in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_text(path, text)
    return paths


def write_paper(parts: Sequence[tuple[str, Sequence[str]]], folder: Path) -> Path:
    """``paper.tex`` beside the tables' own files: parts as (title, names of tables), each a section."""
    path = Path(folder) / "paper.tex"
    write_text(path, LATEX.get_template("paper.tex").render(parts=parts))
    return path


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
                    *(row.experiment or column.experiment, " ".join(row.behind)),
                )
            )
    return out.getvalue()


def _no_formula(text: str) -> str:
    number = re.fullmatch(r"[+-]?[\d.,]+( ± [\d.,]+)?", text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not number else text
