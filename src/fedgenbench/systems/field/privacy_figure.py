"""The figure of accuracy against what private clients have spent."""

import matplotlib
import pandas as pd
from matplotlib.ticker import NullFormatter

from fedgenbench.report.figures import BROKEN, COLOURS, STYLE, Figure, label_right, lay_out, level
from fedgenbench.report.results import Results


def privacy_figures(results: Results) -> list[Figure]:
    """One figure for each experiment in which some run was private."""
    runs = results.runs
    if "epsilon" not in runs:
        return []
    private = runs[runs["epsilon"].notna()]
    return [
        accuracy_by_epsilon(results, experiment, group.groupby("method")["epsilon"].mean())
        for experiment, group in private.groupby("experiment", sort=False)
    ]


@matplotlib.rc_context(STYLE)
def accuracy_by_epsilon(results: Results, experiment: str, spent: pd.Series) -> Figure:
    """Accuracy on clients' own images by ε (``spent``, by row); what is not private is a level."""
    scores = 100 * results.by_seed(experiment, "personal")
    drawing, (axes,) = lay_out(1, 1, width=2.6, height=2.0)
    intervals = {row: results.interval(scores[row]) for row in spent.sort_values().index}
    axes.set_xscale("log")
    axes.plot(spent[list(intervals)], [i.mean for i in intervals.values()], "o-", color=COLOURS[0])
    labels = []
    for row, interval in intervals.items():
        if interval.low is not None and interval.high is not None:
            axes.plot([spent[row]] * 2, [interval.low, interval.high], color=COLOURS[0], alpha=0.4)
        words = f"{results.label(row)}, ε = {spent[row]:.2g}"
        labels.append((interval.mean, words, COLOURS[0]))
    for row in scores.columns.difference(spent.index):
        labels.append(level(axes, scores[row].mean(), "not private", BROKEN))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="ε of the client that has spent most", ylabel="Accuracy (%)")
    axes.set_title(results.experiments[experiment]["title"])
    label_right(axes, labels)
    delta = results.runs.loc[results.runs["experiment"] == experiment, "delta"].max()
    return Figure(
        f"privacy_{experiment}",
        f"{results.experiments[experiment]['title']}: accuracy on clients' own test images against ε at "
        f"δ = {delta:g}, mean and {results.level} t-interval over seeds. ε bounds what all that a client "
        "has sent gives away of one of its images. Dashed: the same rounds without privacy.",
        drawing,
    )
