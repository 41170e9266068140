"""A section of the report, and the illustrations in it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from fedgenbench.core.files import read_json
from fedgenbench.report.figures import ORDER
from fedgenbench.report.tables import Table
from fedgenbench.report.verdicts import Claim


@dataclass(frozen=True)
class Illustration:
    """A figure read back from its files: the whole SVG document and its width in inches."""

    id: str
    caption: str
    svg: str
    width: float

    @property
    def data_uri(self) -> str:
        # An image of its own: inlined drawings would share one space of element ids.
        encoded = base64.b64encode(self.svg.encode()).decode()
        return f"data:image/svg+xml;base64,{encoded}"


@dataclass(frozen=True)
class Section:
    """A part of the report. Blank lines in ``text`` part paragraphs; claims go to the scoreboard."""

    title: str
    text: str = ""
    bullets: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Illustration] = ()
    claims: Sequence[Claim] = ()

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
