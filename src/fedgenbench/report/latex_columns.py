"""How LaTeX sets the columns of a table: numbers by siunitx, on their decimal points.

A column of means with intervals takes two of LaTeX's columns, the second for ``± half``.
"""

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from fedgenbench.report.rendering import escape_latex
from fedgenbench.report.tables import Cell, Column, Table

# Characters of a header's line, and of a text from which on its column breaks lines; em of such a column.
_HEAD, _LONG, _WIDE = 14, 30, 9
_NUMBER = re.compile(r"([+−-]?)(\d[\d,]*)(?:\.(\d+))?")


@dataclass(frozen=True)
class LatexColumn:
    """The digits that a column makes room for, as siunitx's ``table-format``.

    mean: "" for a column of text. half: "" where no number has an interval.
    long: whether it has texts that need several lines.
    """

    mean: str
    half: str
    long: bool = False

    @property
    def width(self) -> int:
        """How many of LaTeX's columns it takes."""
        return 2 if self.half else 1

    @property
    def preamble(self) -> Markup:
        if self.long:
            return Markup(rf">{{\raggedright\arraybackslash}}p{{{_WIDE}em}}")
        if not self.mean:
            return Markup("l")
        second = (
            rf"@{{\,}}S[table-format={self.half},table-space-text-pre={{$\pm$\,}}]"
            if self.half
            else ""
        )
        return Markup(f"S[table-format={self.mean}]{second}")

    def text(self, text: str) -> Markup:
        """Words in the column: braces keep siunitx from reading a number."""
        escaped = escape_latex(text)
        if self.half:
            return Markup(rf"\multicolumn{{2}}{{c}}{{{escaped}}}")
        return Markup(f"{{{escaped}}}" if self.mean else escaped)

    def head(self, text: str) -> Markup:
        """A header, in short lines."""
        lines = textwrap.wrap(
            text,
            _HEAD,
            break_long_words=False,
            break_on_hyphens=max(map(len, text.split()), default=0) > _HEAD,
        )
        if len(lines) < 2 or self.long:
            return self.text(text)
        place = "l" if not self.mean else "c"
        stacked = r" \\ ".join(map(escape_latex, lines))
        return Markup(
            rf"\multicolumn{{{self.width}}}{{{place}}}"
            rf"{{\begin{{tabular}}[b]{{@{{}}{place}@{{}}}}{stacked}\end{{tabular}}}}"
        )

    def cell(self, cell: Cell) -> Markup:
        mean, half = cell.parts
        if not self.mean or not _numbers(cell):
            bold = rf"\textbf{{{escape_latex(cell.text)}}}"
            return Markup(bold) if cell.bold and not self.mean else self.text(cell.text)
        shown = mean.replace("−", "-").replace(",", "")
        if cell.bold:
            shown = rf"\bfseries {shown}"
        if self.half:
            shown += rf" & {{$\pm$\,}} {half}" if half else " &"
        return Markup(shown)


def latex_columns(table: Table) -> list[LatexColumn]:
    """One for each column of ``table``."""
    cells = zip(*(row.cells for row in table.rows), strict=True) if table.rows else ()
    by_column = list(cells) or [()] * len(table.columns)
    return [_latex_column(*each) for each in zip(table.columns, by_column, strict=True)]


def _latex_column(column: Column, cells: Iterable[Cell]) -> LatexColumn:
    cells = list(cells)
    numbers = [parts for cell in cells if (parts := _numbers(cell))]
    if column.unit is None or not numbers:
        return LatexColumn("", "", any(len(cell.text) > _LONG for cell in cells))
    return LatexColumn(
        _format([mean for mean, _ in numbers]),
        _format([half for _, half in numbers if half]),
    )


def _numbers(cell: Cell) -> tuple[re.Match[str], re.Match[str] | None] | None:
    """Mean and half interval, if the cell is a number and nothing else."""
    mean, half = (_NUMBER.fullmatch(part) for part in cell.parts)
    return (mean, half) if mean and (half or not cell.parts[1]) else None


def _format(numbers: list[re.Match[str]]) -> str:
    if not numbers:
        return ""
    sign = "+" if any(number[1] for number in numbers) else ""
    whole = max(len(number[2].replace(",", "")) for number in numbers)
    return f"{sign}{whole}.{max(len(number[3] or '') for number in numbers)}"
