"""The figures of the federated field: accuracy by round, of every method, and against communication.

A method keeps one colour and one marker in all figures: its place among the methods of its family
picks them, so a method added at the end changes no other. Controls are grey.
"""

from itertools import product

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter

from fedgenbench.core.errors import UserError
from fedgenbench.report.figures import (
    FAINT,
    GREY,
    STYLE,
    Figure,
    colour_of,
    label_right,
    labelled_height,
    lay_out,
)
from fedgenbench.report.results import FAMILIES, METRICS, Results
from fedgenbench.systems.field.clients_figure import client_figures
from fedgenbench.systems.field.privacy_figure import privacy_figures

# More bands than these on each other show none.
BANDS = 4
MARKERS = {"control": "D", "global": "o", "personalised": "s"}


def figures(results: Results) -> list[Figure]:
    """The curves of each experiment with methods, and what spans them all."""
    private = privacy_figures(results)
    results = results.main
    if results.runs.empty:
        return private
    compared = set(results.methods) - set(results.family("control"))
    ran = results.runs.loc[results.runs["method"].isin(compared), "experiment"].unique()
    return [
        # Controls alone are drawn as lines to compare with, and nothing would be compared.
        *(
            accuracy_curves(results, experiment)
            for experiment in results.experiments
            if experiment in ran
        ),
        communication(results, "personal"),
        final_accuracies(results, "personal"),
        *client_figures(results, "personal"),
        *private,
    ]


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
        of_family = [method for method in results.family(family) if method in curves]
        for method, curve in curves.items():
            if method not in of_family and method not in controls:
                axes.plot(curve["mean"], color=FAINT, linewidth=0.8, zorder=1)
        for method in of_family:
            curve, colour = curves[method], colour_of(results, method)
            if len(of_family) <= BANDS:
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
        f"{results.experiments[experiment]['title']}: accuracy by round, mean over seeds "
        f"with its {results.level} t-interval where at most {BANDS} methods share a panel. Grey "
        "lines: the other family. Dashed: "
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
            interval, colour = results.interval(values), colour_of(results, method)
            if interval.low is not None and interval.high is not None:
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
        low, high = points["x"].min(), points["x"].max()
        if high < 2 * low:  # else a hundredth of the traffic would be as wide as the axis
            axes.set_xlim(low / 1.5, high * 1.5)
        if high < 10 * low:  # powers of ten would leave the axis bare
            axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="MB per client, whole run", ylabel="Accuracy (%)")
        axes.set_title(results.experiments[experiment]["title"])
        labels = _draw_controls(axes, results, controls)
        front = points[points["y"] > points["y"].cummax().shift(fill_value=-1)]
        axes.step(front["x"], front["y"], where="post", color=GREY, linewidth=0.8)
        for method, (x, y) in points.iterrows():
            colour = colour_of(results, method)
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


def _marker(results: Results, method: str) -> str:
    return MARKERS[results.methods[method]["family"]]


def _draw_controls(
    axes: Axes, results: Results, controls: pd.Series
) -> list[tuple[float, str, str]]:
    """Draws the controls' final accuracies (per cent) as lines and returns their labels."""
    for final in controls:
        axes.axhline(final, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    return [(final, results.label(method), GREY) for method, final in controls.items()]
