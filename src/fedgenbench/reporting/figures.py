"""Figures: accuracy by round, final accuracy of every method, accuracy against communication.

A method keeps one colour and one marker in all figures: its place among the methods of its family
picks them, so a method added at the end changes no other. Names stand beside the lines and points,
so that colour never has to be told apart to read a figure. Controls are grey lines.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fedgenbench.evaluation.statistics import Interval, mean_interval
from fedgenbench.reporting.results import FAMILIES, METRICS, Results
from fedgenbench.runtime.files import atomic_path, write_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

# Paul Tol's "muted" scheme, told apart with any colour vision; the tenth is Okabe and Ito's orange.
COLOURS = ("#332288", "#CC6677", "#117733", "#88CCEE", "#AA4499", "#999933", "#882255", "#44AA99")
COLOURS += ("#DDCC77", "#D55E00")
MARKERS = {"global": "o", "personalised": "s"}
GREY, FAINT, INK = "#767676", "#d9d9d9", "#222222"

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#ececec",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.3,
    "lines.solid_capstyle": "round",
    "savefig.dpi": 200,
    "svg.hashsalt": "fedgenbench",
    "pdf.fonttype": 42,
}


@dataclass(frozen=True)
class Figure:
    """A drawn figure with the caption that travels with it."""

    id: str
    caption: str
    drawing: "Drawing"


def emit(figure: Figure, folder: Path) -> list[Path]:
    """Writes ``<id>.svg``, ``.png`` (200 dpi), ``.pdf`` and ``.json`` (id and caption).

    Equal figures give equal bytes: no dates, and element ids from a fixed salt.
    """
    import matplotlib

    folder = Path(folder)
    paths = []
    metadata = {"svg": {"Date": None}, "png": {}, "pdf": {"CreationDate": None}}
    with matplotlib.rc_context(STYLE):
        for suffix, entries in metadata.items():
            path = folder / f"{figure.id}.{suffix}"
            with atomic_path(path) as temporary:
                figure.drawing.savefig(temporary, format=suffix, metadata=entries)
            paths.append(path)
    write_json(folder / f"{figure.id}.json", {"id": figure.id, "caption": figure.caption})
    return [*paths, folder / f"{figure.id}.json"]


def accuracy_curves(results: Results, experiment: str) -> Figure:
    """Accuracy by round: a row per metric, a panel per family, the other family behind in grey."""
    entry = results.experiments[experiment]
    frame = results.rounds
    frame = frame[(frame["experiment"] == experiment) & (frame["client"] == -1)]
    metrics = [m for m in ("personal", "global") if (frame["metric"] == m).any()]
    families = [f for f in MARKERS if frame["method"].isin(results.family(f)).any()]
    with _canvas(len(metrics), len(families), width=3.6, height=2.75, sharey="row") as canvas:
        for row, metric in zip(canvas.axes, metrics, strict=True):
            curves = _curves(frame[frame["metric"] == metric])
            for axes, family in zip(row, families, strict=True):
                own = [m for m in results.family(family) if m in curves]
                labels = _control_lines(axes, results, experiment, metric)
                for method in curves.keys() - set(own) - set(results.family("control")):
                    axes.plot(*_mean_line(curves[method]), color=FAINT, linewidth=0.9, zorder=1)
                for method in own:
                    colour, _ = identity(results, method)
                    x, y = _mean_line(curves[method])
                    axes.plot(x, y, color=colour, zorder=3)
                    band = [(r, i) for r, i in curves[method].items() if i.low is not None]
                    if band:
                        xs, intervals = zip(*band, strict=True)
                        lows, highs = zip(*((100 * i.low, 100 * i.high) for i in intervals), strict=True)
                        axes.fill_between(xs, lows, highs, color=colour, alpha=0.1, linewidth=0)
                    labels.append((y[-1], results.label(method), colour))
                axes.set_title(f"{METRICS[metric]} accuracy: {FAMILIES[family].lower()} methods")
                axes.set_xlabel("Round")
                axes.margins(x=0)
                canvas.label_later(axes, labels)
            row[0].set_ylabel("Accuracy (%)")
    return Figure(
        f"curves_{experiment}",
        f"{entry['title']}: accuracy by round, mean and 95 % t-interval over seeds. "
        "Methods of the other family are grey; dashed lines are the controls' final accuracies.",
        canvas.drawing,
    )
