"""Figures: accuracy by round, final accuracy of every method, accuracy against communication.

A method keeps one colour and one marker in all figures: its place among the methods of its family
picks them, so a method added at the end changes no other. Names stand beside lines and points, so
that no figure has to be read by colour. Controls are grey.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator, NullFormatter

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import atomic_path, write_json
from fedgenbench.report.glyphs import FONT, code_point, make_drawable
from fedgenbench.report.results import FAMILIES, METRICS, Results

# Told apart with any colour vision: Paul Tol's "muted" scheme, its two pale colours replaced by
# Okabe and Ito's blue and vermilion, and black.
COLOURS = (
    *("#332288", "#CC6677", "#117733", "#56B4E9", "#AA4499"),
    *("#999933", "#882255", "#44AA99", "#D55E00", "#222222"),
)
MARKERS = {"control": "D", "global": "o", "personalised": "s"}
LINE = 0.114  # inches from one label to the next
BLUE, GREEN, ORANGE = COLOURS[0], COLOURS[2], COLOURS[8]
BROKEN, DOTTED = (0, (4, 2)), (0, (1, 1.5))
INK, GREY, FAINT = "#222222", "#767676", "#dcdcdc"

# y where a line ends, its name, its colour: what ``label_right`` takes.
Label = tuple[float, str, str]

STYLE: dict[str, Any] = {
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


@matplotlib.rc_context(STYLE)
def accuracy_curves(results: Results, experiment: str) -> Figure:
    """Accuracy by round: a row of panels per metric, a panel per family of methods."""
    frame = results.rounds
    frame = frame[(frame["experiment"] == experiment) & (frame["client"] == -1)]
    metrics = [m for m in ("personal", "global") if (frame["metric"] == m).any()]
    families = [
        family
        for family in ("global", "personalised")
        if frame["method"].isin(results.family(family)).any()
    ]
    last = frame["round"].max()
    lines = len(results.family("control")) + max(len(results.family(f)) for f in families)
    drawing, panels = lay_out(
        len(metrics) * len(families), len(families), width=1.95, height=labelled_height(lines)
    )
    for axes, (metric, family) in zip(panels, product(metrics, families), strict=True):
        curves = {
            method: _by_round(results, rows)
            for method, rows in frame[frame["metric"] == metric].groupby("method")
        }
        finals = results.by_seed(experiment, metric).mean() * 100
        controls = finals[finals.index.isin(results.family("control"))]
        # The climb from a random guess would take most of the height: cut it off.
        spread = max(finals.max() - finals.min(), 2)
        axes.set(xlim=(0, last), ylim=(finals.min() - spread / 3, finals.max() + spread / 8))
        axes.set(xlabel="Round", ylabel="Accuracy (%)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(f"{METRICS[metric]} accuracy, {FAMILIES[family].lower()}")
        labels = _draw_controls(axes, results, controls)
        own = [method for method in results.family(family) if method in curves]
        for method, curve in curves.items():
            if method not in own and method not in controls:
                axes.plot(curve["mean"], color=FAINT, linewidth=0.8, zorder=1)
        for method in own:
            curve, colour = curves[method], _colour(results, method)
            axes.fill_between(
                curve.index, curve["low"], curve["high"], color=colour, alpha=0.08, linewidth=0
            )
            axes.plot(curve["mean"], color=colour)
            # One-shot methods end early; a dotted line carries their level to the label.
            end = curve["mean"].iloc[-1]
            axes.plot([curve.index[-1], last], [end, end], ":", color=colour)
            labels.append((end, results.label(method), colour))
        label_right(axes, labels)
    return Figure(
        f"curves_{experiment}",
        f"{results.experiments[experiment]['title']}: accuracy by round, mean and "
        f"{results.level} t-interval over seeds. Grey lines: the other family. Dashed: "
        "where the controls end. The axis leaves out the first climb.",
        drawing,
    )


@matplotlib.rc_context(STYLE)
def final_accuracies(results: Results, metric: str) -> Figure:
    """One row per method, best mean over the experiments first; a panel per experiment."""
    tables = _measured(results, metric)
    order = pd.DataFrame({e: t.mean() for e, t in tables.items()}).mean(axis=1).sort_values().index
    drawing, panels = lay_out(
        len(tables), 3, width=1.62, height=0.145 * len(order), left=0.22, right=0, margin=1.1
    )
    for position, (axes, experiment) in enumerate(zip(panels, tables, strict=True)):
        for row, method in enumerate(order):
            if row % 2:
                axes.axhspan(row - 0.5, row + 0.5, color="#f6f6f6", linewidth=0)
            if method not in tables[experiment]:
                continue
            values = tables[experiment][method].dropna() * 100
            interval, colour = results.interval(values), _colour(results, method)
            if interval.half is not None:
                axes.plot([interval.low, interval.high], [row, row], color=colour)
            axes.plot(interval.mean, row, _marker(results, method), color=colour, markersize=4)
        axes.set(ylim=(-0.6, len(order) - 0.4), xlabel="Accuracy (%)")
        axes.set_title(results.experiments[experiment]["title"])
        axes.grid(axis="y", visible=False)
        axes.set_yticks(range(len(order)), [results.label(method) for method in order])
        axes.tick_params(labelleft=position % 3 == 0)
    guesses = sorted({f"{100 * results.guess(experiment).mean:.1f} %" for experiment in tables})
    return Figure(
        f"final_{metric}",
        f"{METRICS[metric]} accuracy of every method: mean and {results.level} t-interval over "
        "seeds. Round: global methods; square: personalised; grey diamond: controls. "
        f"A random guess ({', '.join(guesses)}) is not drawn.",
        drawing,
    )


@matplotlib.rc_context(STYLE)
def communication(results: Results, metric: str) -> Figure:
    """Final accuracy against the traffic of one client over the whole run; one panel each.

    A method without any traffic has no place on the logarithmic axis and is left out.
    """
    tables = _measured(results, metric)
    runs = results.runs
    traffic = (runs["bytes_up"] + runs["bytes_down"]) * runs["rounds"] / 1e6
    traffic = traffic.groupby([runs["experiment"], runs["method"]]).mean()
    height = labelled_height(len(results.methods))
    drawing, panels = lay_out(len(tables), 2, width=1.95, height=height)
    for axes, (experiment, table) in zip(panels, tables.items(), strict=True):
        means = table.mean() * 100
        controls = means[means.index.isin(results.family("control"))]
        points = pd.DataFrame({"x": traffic[experiment], "y": means.drop(controls.index)}).dropna()
        points = points[points["x"] > 0].sort_values(["x", "y"], ascending=[True, False])
        axes.set_xscale("log")
        axes.margins(x=0.08, y=0.06)
        if points["x"].max() < 10 * points["x"].min():  # powers of ten would leave the axis bare
            axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="MB per client, whole run", ylabel="Accuracy (%)")
        axes.set_title(results.experiments[experiment]["title"])
        labels = _draw_controls(axes, results, controls)
        front = points[points["y"] > points["y"].cummax().shift(fill_value=-1)]
        axes.step(front["x"], front["y"], where="post", color=GREY, linewidth=0.8)
        for method, (x, y) in points.iterrows():
            colour = _colour(results, method)
            axes.plot(x, y, _marker(results, method), color=colour, markersize=4.5)
            labels.append((y, results.label(method), colour))
        right = axes.get_xlim()[1]
        axes.hlines(points["y"], points["x"], right, color=FAINT, linewidth=0.6, zorder=1)
        axes.set_xlim(right=right)
        label_right(axes, labels)
    return Figure(
        f"communication_{metric}",
        f"{METRICS[metric]} accuracy against what one client sends and receives in the whole run "
        "(MB, logarithmic). The staircase joins the methods that no other one beats at their cost "
        "or less. Dashed: controls. Round: global methods; square: personalised.",
        drawing,
    )


def _measured(results: Results, metric: str) -> dict[str, pd.DataFrame]:
    """Accuracy by seed and method, of each experiment that has the metric."""
    tables = {experiment: results.by_seed(experiment, metric) for experiment in results.experiments}
    tables = {experiment: table for experiment, table in tables.items() if not table.empty}
    if not tables:
        raise UserError(f"no collected run has the metric {metric!r}: ask for another, or run more")
    return tables


def _by_round(results: Results, rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and interval in per cent, indexed by round; NaN (a gap) where there is no interval."""
    intervals = rows.groupby("round")["value"].agg(results.interval)
    ends = [(i.mean, i.low, i.high) for i in intervals]
    return 100 * pd.DataFrame(ends, intervals.index, ["mean", "low", "high"], dtype=float)


def _colour(results: Results, method: str) -> str:
    if results.methods[method]["family"] == "control":
        return GREY
    return COLOURS[results.place(method) % len(COLOURS)]


def _marker(results: Results, method: str) -> str:
    return MARKERS[results.methods[method]["family"]]


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


def labelled_height(lines: int) -> float:
    """Inches that a panel needs for its column of labels, and at least a good shape."""
    return max(2.0, lines * LINE)


def _draw_controls(
    axes: Axes, results: Results, controls: pd.Series
) -> list[tuple[float, str, str]]:
    """Draws the controls' final accuracies (per cent) as lines and returns their labels."""
    for final in controls:
        axes.axhline(final, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    return [(final, results.label(method), GREY) for method, final in controls.items()]


def label_right(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Names (y, text, colour) in a column right of the axes, apart from each other, with leaders."""
    from scipy.optimize import isotonic_regression

    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    inches = axes.get_position().height * axes.figure.get_figheight()
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
    dashes: str | tuple = "-",
) -> Label:
    """Draws mean and interval of ``table``, seeds by places on the x axis.

    References (grey and broken) go without interval: three bands on each other would hide the lines.
    """
    intervals = table.dropna(axis="columns", how="all").agg(results.interval)
    ends = np.array([(i.mean, i.low, i.high) for i in intervals], dtype=float)
    mean, low, high = ends.T
    look = {"color": colour, "linestyle": dashes, "marker": "o", "markersize": 2.5}
    axes.plot(intervals.index, mean, clip_on=False, **look)
    if colour != GREY or dashes == "-":
        axes.fill_between(intervals.index, low, high, color=colour, alpha=0.1, linewidth=0)
    return mean[-1], words, colour


def level(axes: Axes, y: float, words: str, dashes: tuple) -> Label:
    """Draws a value to compare with."""
    axes.axhline(y, color=GREY, linewidth=0.8, linestyle=dashes)
    return y, words, GREY


def finish(axes: Axes, labels: list[Label]) -> None:
    """Labels the lines; the axis cuts intervals off that are much wider than all means lie apart."""
    means = np.concatenate([np.asarray(each.get_ydata(), dtype=float) for each in axes.lines])
    room = np.ptp(means) / 2
    low, high = axes.get_ylim()
    if room > 0:
        axes.set_ylim(max(low, means.min() - room), min(high, means.max() + room))
    label_right(axes, labels)
