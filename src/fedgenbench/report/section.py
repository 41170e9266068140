"""A section of the report, and the illustrations in it."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import escape
from PIL import Image

from fedgenbench.core.files import read_json
from fedgenbench.report.answers import Answer
from fedgenbench.report.contact import ContactSheet
from fedgenbench.report.figures import DARK, ORDER
from fedgenbench.report.forest import Forest
from fedgenbench.report.tables import Table
from fedgenbench.report.verdicts import Claim


@dataclass(frozen=True)
class Illustration:
    """A figure read back from its files: the whole SVG document and its width in inches.

    alternative: what it shows, in a few words, for whoever does not see it.
    """

    id: str
    caption: str
    svg: str
    width: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of a page, 125 an inch."""
        drawn = re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', self.svg)
        shape = float(drawn[2]) / float(drawn[1]) if drawn else 1.0
        return round(125 * self.width), round(125 * self.width * shape)

    @property
    def alternative(self) -> str:
        return self.caption.split(": ")[0]

    @property
    def data_uri(self) -> str:
        # An image of its own: inlined drawings would share one space of element ids. Its style follows
        # the reader's choice of light or dark.
        head, opening, body = self.svg.partition("<svg")
        attributes, _, content = body.partition(">")
        if attributes.endswith("/"):
            drawing = self.svg
        else:
            drawing = f"{head}{opening}{attributes}><style>{DARK}</style>{content}"
        encoded = base64.b64encode(drawing.encode()).decode()
        return f"data:image/svg+xml;base64,{encoded}"


@dataclass(frozen=True)
class Section:
    """A part of the report. Blank lines in ``text`` part paragraphs.

    Of a paper's section, the page of its own is made: ``answer`` and ``claims`` also stand in the
    overview.

    name: the system that it is of.
    sheets: images to browse, on the page alone; its PDF has ``printed`` in their place.
    absent: experiments of the paper without runs here, as entries of ``Results.absent``.
    """

    title: str
    text: str = ""
    bullets: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Illustration] = ()
    claims: Sequence[Claim] = ()
    forests: Sequence[Forest] = ()
    answer: Answer | None = None
    absent: Sequence[Mapping[str, Any]] = ()
    name: str = ""
    sheets: Sequence[ContactSheet] = ()
    printed: Sequence[Illustration] = ()

    @property
    def paragraphs(self) -> list[str]:
        return [" ".join(part.split()) for part in self.text.split("\n\n") if part.strip()]


def read_figures(folder: Path) -> dict[str, list[Illustration]]:
    """The figures in ``folder`` by system, in the order of its section."""
    return {
        system: [read_figure(Path(folder) / f"{id}.svg") for id in ids]
        for system, ids in read_json(Path(folder) / ORDER).items()
    }


def read_figure(path: Path) -> Illustration:
    """The figure whose SVG is at ``path``, with the caption that lies beside it."""
    path = Path(path)
    return Illustration(
        svg=path.read_text(encoding="utf-8"), **read_json(path.with_suffix(".json"))
    )


def read_sheet(
    path: Path, id: str, caption: str, rows: Sequence[str], columns: Sequence[str] = ()
) -> Illustration:
    """A PNG of equal cells in labelled rows (and columns), shown at four times its size."""
    content = Path(path).read_bytes()
    with Image.open(path) as image:
        wide, high = (4 * edge for edge in image.size)
    size = round(min(wide / 50, high / len(rows) / 2))  # of the letters
    left, top = round(0.62 * size * max(map(len, rows))) + size, 2 * size if columns else 0
    texts = [
        f'<text x="{left - size // 2}" y="{top + high * (place + 0.5) / len(rows) + size / 3:.1f}" '
        f'text-anchor="end">{escape(row)}</text>'
        for place, row in enumerate(rows)
    ]
    texts += [
        f'<text x="{left + wide * (place + 0.5) / len(columns):.1f}" y="{1.4 * size:.1f}" '
        f'text-anchor="middle">{escape(column)}</text>'
        for place, column in enumerate(columns)
    ]
    encoded = base64.b64encode(content).decode()
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + wide}" height="{top + high}" '
        f'viewBox="0 0 {left + wide} {top + high}" font-family="DejaVu Sans" font-size="{size}">'
        f"{''.join(texts)}"
        f'<image x="{left}" y="{top}" width="{wide}" height="{high}" '
        'image-rendering="optimizeSpeed" style="image-rendering: pixelated" '
        f'href="data:image/png;base64,{encoded}"/></svg>'
    )
    return Illustration(id, caption, svg, min((left + wide) / 125, 8.5))


def read_raster(path: Path, id: str, caption: str) -> Illustration:
    """A PNG as a picture, each pixel kept sharp: an SVG that holds it, at 100 pixels an inch at most."""
    content = Path(path).read_bytes()
    with Image.open(path) as image:
        wide, high = image.size
    encoded = base64.b64encode(content).decode()
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" '
        f'viewBox="0 0 {wide} {high}"><image width="{wide}" height="{high}" '
        'image-rendering="optimizeSpeed" style="image-rendering: pixelated" '
        f'href="data:image/png;base64,{encoded}"/></svg>'
    )
    return Illustration(id, caption, svg, min(wide / 100, 6.5))
