"""How a method's accuracy spreads over clients: each client a mark, half of them in the bar."""

from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from fedgenbench.report.figures import STYLE, Figure, colour_of
from fedgenbench.report.results import METRICS, Results

# Marks of a panel: of a hundred clients the bar alone can be read.
MOST = 40
ROW = 0.145  # inches


def client_figures(results: Results, metric: str) -> list[Figure]:
    """One figure over all experiments that say the metric by client; none where none does."""
    frame = results.scores
    frame = frame[(frame["metric"] == metric) & (frame["client"] >= 0)]
    tables = {
        experiment: 100
        * rows.pivot_table(index="client", columns="method", values="value", aggfunc="mean")
        for experiment, rows in frame.groupby("experiment", sort=False)
    }
    return [_spread(results, metric, tables)] if tables else []


@matplotlib.rc_context(STYLE)
def _spread(results: Results, metric: str, tables: dict[str, pd.DataFrame]) -> Figure:
    """``tables``: experiment -> per cent by client and method, mean over seeds."""
    drawing, panels = _panels([len(table.columns) for table in tables.values()])
    for axes, (experiment, table) in zip(panels, tables.items(), strict=True):
        order = list(table.median().sort_values().index)
        for row, method in enumerate(order):
            if row % 2:
                axes.axhspan(row - 0.5, row + 0.5, color="#f6f6f6", linewidth=0)
            _client_row(axes, row, table[method].dropna(), colour_of(results, method))
        axes.set(ylim=(-0.6, len(order) - 0.4), xlabel="Accuracy (%)")
        axes.set_title(results.experiments[experiment]["title"])
        axes.grid(axis="y", visible=False)
        axes.set_yticks(range(len(order)), [results.label(method) for method in order])
    return Figure(
        f"clients_{metric}",
        f"{METRICS[metric]} accuracy of each client by method: a mark is a client, mean over seeds; the "
        "bar holds the middle half of the clients, the long stroke is their median. No single marks "
        f"where there are more than {MOST} clients. Grey: controls.",
        drawing,
    )


def _panels(rows: list[int]) -> tuple[Drawing, list[Axes]]:
    """Two panels beside each other, each as high as its number of rows."""
    left, width, right, top, bottom = 1.15, 2.3, 0.15, 0.28, 0.42  # inches
    pairs = [rows[at : at + 2] for at in range(0, len(rows), 2)]
    heights = [top + ROW * max(pair) + bottom for pair in pairs]
    cell = left + width + right
    size = cell * min(len(rows), 2), sum(heights)
    drawing = Drawing(figsize=size)
    panels = []
    for place, count in enumerate(rows):
        down = sum(heights[: place // 2]) + top + ROW * count
        x, y = place % 2 * cell + left, size[1] - down
        box = (x / size[0], y / size[1], width / size[0], ROW * count / size[1])
        panels.append(drawing.add_axes(box))
    return drawing, panels


def _client_row(axes: Axes, row: int, values: pd.Series, colour: str) -> None:
    """``values`` in per cent, one of each client."""
    low, middle, high = values.quantile([0.25, 0.5, 0.75])
    axes.plot([low, high], [row, row], color=colour, linewidth=4, alpha=0.3, solid_capstyle="butt")
    axes.plot([middle, middle], [row - 0.36, row + 0.36], color=colour, linewidth=1.4)
    if len(values) <= MOST:
        look: dict[str, Any] = {"markersize": 4, "markeredgecolor": colour, "markeredgewidth": 0.7}
        axes.plot(values, [row] * len(values), "|", alpha=0.8, **look)
