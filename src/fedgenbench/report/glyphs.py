"""Characters that a font cannot draw, and what stands in their place: their code points.

Figures and the PDF use fonts that travel with their libraries, so that equal input gives equal bytes on
every machine. Those have Latin, Greek, Cyrillic and more, but no Chinese, Japanese or Korean.
"""

from functools import cache

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

FONT = "DejaVu Sans"


@cache
def _drawable() -> frozenset[int]:
    return frozenset(FT2Font(findfont(FONT)).get_charmap()) | frozenset(map(ord, "\n\r\t"))


def code_point(character: str) -> str:
    """Such as ``U+72AC``."""
    return f"U+{ord(character):04X}"


def lacking(text: str) -> list[str]:
    """The characters of ``text`` that the font has no glyph for, each once, in order."""
    return [c for c in dict.fromkeys(text) if ord(c) not in _drawable()]


def with_code_points(text: str) -> str:
    """``text`` with ``[U+72AC]`` and the like for what the font lacks."""
    return text.translate({ord(c): f"[{code_point(c)}]" for c in lacking(text)})


def make_drawable(drawing: Figure) -> list[str]:
    """Replaces what the font lacks in all texts of a figure and returns these characters."""
    texts = [text for text in drawing.findobj(Text) if lacking(text.get_text())]
    undrawable = {c: None for text in texts for c in lacking(text.get_text())}
    for text in texts:
        text.set_text(with_code_points(text.get_text()))
    for axes in drawing.findobj(Axes):
        for axis in (axes.xaxis, axes.yaxis):
            names = [label.get_text() for label in axis.get_ticklabels()]
            if lost := lacking("".join(names)):
                undrawable |= dict.fromkeys(lost)
                axis.set_ticks(axis.get_ticklocs(), [with_code_points(name) for name in names])
    return sorted(undrawable)
