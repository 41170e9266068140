"""What stands under tables: how the numbers came about, and warnings about the controls."""

import pandas as pd

from fedgenbench.core.wording import counted
from fedgenbench.report.results import METRICS, Results, distinct
from fedgenbench.report.tables import percent
from fedgenbench.report.words import spread_note

DIFFERENCES = "Differences are paired within seeds; one counts where its interval leaves out 0."
ALONE = "local"  # the control in which each client trains by itself


def table_notes(results: Results, bold: bool = True) -> list[str]:
    """What every table says about how its numbers came about, and what was mixed in it.

    ``bold``: whether the table marks the best method.
    """
    runs = results.runs
    if runs.empty:
        return ["No run of this table has been made yet."]
    seeds = runs.groupby(["experiment", "method"])["seed"].nunique()
    hardware = distinct(runs, "hardware")
    notes = [
        spread_note(results, seeds, bold),
        f"Scale: {', '.join(distinct(runs, 'scale'))}. Seeds: {_span(seeds)}. "
        f"Rounds: {_span(runs['rounds'])}. Engine: {', '.join(distinct(runs, 'engine'))}. "
        f"Hardware: {', '.join(hardware)}.",
    ]
    notes += scale_notes(runs)
    if len(hardware) > 1:
        notes.append(f"Warning: mixes runs from {len(hardware)} kinds of hardware.")
    if dirty := int(runs["git_dirty"].eq(True).sum()):
        made = f"{counted(dirty, 'run')} made in"
        notes.append(f"Warning: {made} a working tree with uncommitted changes.")
    return notes


def scale_notes(runs: pd.DataFrame) -> list[str]:
    return [
        f"Numbers at {s} scale are not the papers'."
        for s in distinct(runs, "scale")
        if s != "paper"
    ]


def study_notes(results: Results, frame: pd.DataFrame) -> list[str]:
    """What stands under numbers of jobs that are no runs, in ``frame``."""
    return [spread_note(results, [frame["seed"].nunique()]), *scale_notes(results.runs)]


def _span(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low} to {high}"


def alone_is_best(results: Results, experiment: str, metric: str) -> str:
    """A warning where no method reaches clients that train alone; else, or without those, nothing."""
    means = results.by_seed(experiment, metric).mean()
    methods = means[~means.index.isin(results.family("control"))]
    if ALONE not in means or methods.empty or methods.max() >= means[ALONE]:
        return ""
    alone, best = (
        f"{results.label(m)} ({percent(results.interval(results.by_seed(experiment, metric)[m])).text} %)"
        for m in (ALONE, methods.idxmax())
    )
    return (
        f"Warning: {results.experiments[experiment]['title']}, {METRICS[metric].lower()} accuracy: "
        f"no method reaches {alone}, which is each client by itself. The nearest is {best}."
    )


def band_warnings(results: Results) -> list[str]:
    """Methods whose mean leaves the band of the controls, in words, and where training alone wins.

    The band goes from the lowest of random guess and measured controls to the highest measured one.
    """
    warnings = []
    for experiment, entry in results.experiments.items():
        for metric in ("personal", "global"):
            means = results.by_seed(experiment, metric).mean()
            controls = means[means.index.isin(results.family("control"))]
            where = f"{entry['title']}, {METRICS[metric].lower()} accuracy"
            if controls.empty and not means.empty:
                warnings.append(f"{where}: no control was run, so the band has no upper end.")
            band = {results.label(method): mean for method, mean in controls.items()}
            band["a random guess"] = results.guess(experiment).mean
            lowest = min(band, key=lambda name: band[name])
            highest = None if controls.empty else max(band, key=lambda name: band[name])
            for method, mean in means.drop(controls.index).items():
                text = f"{where}: {results.label(method)} ({100 * mean:.1f} %) is"
                if mean < band[lowest]:
                    warnings.append(f"{text} below {lowest} ({100 * band[lowest]:.1f} %).")
                elif highest and mean > band[highest]:
                    warnings.append(f"{text} above {highest} ({100 * band[highest]:.1f} %).")
            if alone := alone_is_best(results, experiment, metric):
                warnings.append(alone.removeprefix("Warning: "))
    return warnings
