"""Figures: accuracy by round, final accuracy of every method, accuracy against communication.

A method keeps one colour and one marker in all figures: its place among the methods of its family
picks them, so a method added at the end changes no other. Names stand beside lines and points, so
that no figure has to be read by colour. Controls are grey.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.typing import RcKeyType

from fedgenbench.core.files import atomic_path, write_json
from fedgenbench.report.glyphs import FONT, code_point, make_drawable
from fedgenbench.report.results import Results

# Told apart with any colour vision: Paul Tol's "muted" scheme, its two pale colours replaced by
# Okabe and Ito's blue and vermilion, and black.
COLOURS = (
    *("#332288", "#CC6677", "#117733", "#56B4E9", "#AA4499"),
    *("#999933", "#882255", "#44AA99", "#D55E00", "#222222"),
)
LINE = 0.114  # inches from one label to the next
BLUE, GREEN, ORANGE = COLOURS[0], COLOURS[2], COLOURS[8]
BROKEN, DOTTED = (0, (4, 2)), (0, (1, 1.5))
INK, GREY, FAINT = "#222222", "#767676", "#dcdcdc"
# Colour on white -> the same on a dark page, as bright as that one is dark.
ON_DARK = {
    "#ffffff": "#16181c",
    INK: "#dfe2e6",
    GREY: "#a0a7b1",
    FAINT: "#3a3f47",
    "#eeeeee": "#2a2e35",
    "#f6f6f6": "#1f2227",
    "#332288": "#a79cf5",
    "#cc6677": "#e58a99",
    "#117733": "#5fc97f",
    "#aa4499": "#d98bce",
    "#999933": "#c9c95e",
    "#882255": "#d977a6",
    "#d55e00": "#f58a3c",
}
# Style of a figure that follows the reader's choice of light or dark. Matplotlib writes a colour into
# each element's own style, after "fill: " or "stroke: ".
DARK = "@media (prefers-color-scheme: dark) {{ {} }}".format(
    " ".join(
        f'[style*="{kind}: {light}"] {{ {kind}: {dark} !important }}'
        for light, dark in ON_DARK.items()
        for kind in ("fill", "stroke")
    )
    + f" text:not([style*='fill:']) {{ fill: {ON_DARK[INK]} }}"
)

ORDER = "order.json"  # beside the figures
# y where a line ends, its name, its colour: what ``label_right`` takes.
Label = tuple[float, str, str]

STYLE: dict[RcKeyType, Any] = {
    "font.family": FONT,
    "font.size": 7,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#eeeeee",
    "grid.linewidth": 0.6,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.2,
    "lines.markeredgewidth": 0.4,
    "lines.markeredgecolor": "white",
    "savefig.dpi": 200,
    # Element ids from a fixed salt: equal figures give equal bytes.
    "svg.hashsalt": "fedgenbench",
}


@dataclass(frozen=True)
class Figure:
    """A drawing and the caption that travels with it."""

    id: str
    caption: str
    drawing: Drawing


@matplotlib.rc_context(STYLE)
def emit(figure: Figure, folder: Path) -> list[Path]:
    """Writes ``<id>.svg``, ``.png`` (200 dpi), ``.pdf`` and ``.json`` (caption, width in inches)."""
    paths = [Path(folder) / f"{figure.id}.{suffix}" for suffix in ("svg", "png", "pdf", "json")]
    caption = figure.caption
    if lost := make_drawable(figure.drawing):
        named = ", ".join(f"{character} ({code_point(character)})" for character in lost)
        caption += f" The font of figures lacks {named}: code points stand in their place."
    dates = {"svg": {"Date": None}, "png": {}, "pdf": {"CreationDate": None}}
    for path, (suffix, metadata) in zip(paths, dates.items(), strict=False):
        with atomic_path(path) as temporary:
            figure.drawing.savefig(temporary, format=suffix, metadata=metadata)
    width = figure.drawing.get_figwidth()
    write_json(paths[-1], {"id": figure.id, "caption": caption, "width": width})
    return paths


def write_order(figures: Mapping[str, Sequence[Figure]], folder: Path) -> Path:
    """Writes which figures each system has, in the order of its section; returns the path."""
    path = Path(folder) / ORDER
    write_json(path, {system: [figure.id for figure in group] for system, group in figures.items()})
    return path


def lay_out(
    count: int,
    columns: int,
    width: float,
    height: float,
    left: float = 0.45,
    right: float = 1.2,
    margin: float = 0.0,
) -> tuple[Drawing, list[Axes]]:
    """``count`` axes of exactly ``width`` by ``height``, at most ``columns`` beside each other.

    ``left`` and ``right`` are each panel's room for labels, ``margin`` the whole figure's on the
    left; all in inches. Sizes are set by hand because labels are spread by the height of the axes.
    """
    top, bottom = 0.28, 0.42
    columns = min(count, columns)
    cell_width, cell_height = left + width + right, top + height + bottom
    total = (margin + columns * cell_width, -(-count // columns) * cell_height)
    drawing = Drawing(figsize=total)
    panels = []
    for index in range(count):
        row, column = divmod(index, columns)
        x = margin + column * cell_width + left
        y = total[1] - row * cell_height - top - height
        box = (x / total[0], y / total[1], width / total[0], height / total[1])
        panels.append(drawing.add_axes(box))
    return drawing, panels


def colour_of(results: Results, method: str) -> str:
    """The method's colour in all figures; controls are grey."""
    if results.methods[method]["family"] == "control":
        return GREY
    return COLOURS[results.place(method) % len(COLOURS)]


def labelled_height(lines: int) -> float:
    """Inches that a panel needs for its column of labels, and at least a good shape."""
    return max(2.0, lines * LINE)


def label_right(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Names (y, text, colour) in a column right of the axes, apart from each other, with leaders."""
    from scipy.optimize import isotonic_regression

    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    drawing = axes.figure
    assert isinstance(drawing, Drawing)  # no panel has panels of its own
    inches = axes.get_position().height * drawing.get_figheight()
    labels = sorted(labels)
    steps = (high - low) / inches * LINE * np.arange(len(labels))
    # Least squares under "at least one line apart", inside the axes where there is room.
    wished = np.array([y for y, _, _ in labels]) - steps
    places = isotonic_regression(wished).x.clip(low, max(high - steps[-1], low)) + steps
    across = axes.get_yaxis_transform()
    for (y, text, colour), place in zip(labels, places, strict=True):
        axes.plot(
            *([1, 1.03, 1.06], [y, place, place]),
            color=colour, linewidth=0.6, transform=across, clip_on=False,
        )  # fmt: skip
        axes.text(1.08, place, text, transform=across, va="center", fontsize=6.5)


def line(
    axes: Axes,
    results: Results,
    table: pd.DataFrame,
    words: str,
    colour: str,
    dashes: str | tuple[Any, ...] = "-",
) -> Label:
    """Draws mean and interval of ``table``, seeds by places on the x axis.

    References (grey and broken) go without interval: three bands on each other would hide the lines.
    """
    intervals = table.dropna(axis="columns", how="all").agg(results.interval)
    ends = np.array([(i.mean, i.low, i.high) for i in intervals], dtype=float)
    mean, low, high = ends.T
    look: dict[str, Any] = {"color": colour, "linestyle": dashes, "marker": "o", "markersize": 2.5}
    axes.plot(intervals.index, mean, clip_on=False, **look)
    if colour != GREY or dashes == "-":
        axes.fill_between(intervals.index, low, high, color=colour, alpha=0.1, linewidth=0)
    return mean[-1], words, colour


def level(axes: Axes, y: float, words: str, dashes: tuple[Any, ...]) -> Label:
    """Draws a value to compare with."""
    axes.axhline(y, color=GREY, linewidth=0.8, linestyle=dashes)
    return y, words, GREY


def finish(axes: Axes, labels: list[Label]) -> None:
    """Labels the lines; the axis cuts intervals off that are much wider than all means lie apart."""
    left, right = axes.dataLim.intervalx
    if left == right:  # a single place: ticks would be thousandths of it
        axes.set_xlim(left - 1, right + 1)
    means = np.concatenate([np.asarray(each.get_ydata(), dtype=float) for each in axes.lines])
    room = np.ptp(means) / 2
    low, high = axes.get_ylim()
    if room > 0:
        axes.set_ylim(max(low, means.min() - room), min(high, means.max() + room))
    label_right(axes, labels)
