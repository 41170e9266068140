"""What the runs say of pFedGPA: the numbers behind its tables, figures and words.

The question behind all of it is whether generation aggregates anything (papers/pfedgpa.md §3.3): a
server that hands back each client's own upload, a copy of a stored one or the mean would score as
well as local training or FedAvg do, and still look like a method.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import pandas as pd

from fedgenbench.report.results import Results

PFEDGPA = "pfedgpa"
# The runs whose server sends, from the end of the warm-up on, something simpler in place of what it
# would generate. With the whole model generated the first is pure local training; layers that are not
# generated are averaged all the same.
SIMPLER = {
    "pfedgpa_own": "sending back the client's own upload",
    "pfedgpa_mean": "sending FedAvg's mean",
}
# These beside, in tables: what a study of weight generators found that they did not beat (Zeng et al.,
# CVPR 2026, arXiv 2506.07998).
CONTROLS = SIMPLER | {
    "pfedgpa_noise": "sending the client's own upload with noise",
    "pfedgpa_stored": "sending the mean of the client's own stored uploads",
}
# Rules that are no way of generating: what a fit learnt, and learnt from fewer uploads.
OF_A_FIT, OF_UPLOADS = "fit", "density"


def absent(results: Results) -> dict[str, Mapping[str, Any]]:
    """The experiments of the grid without runs here."""
    return {
        name: entry
        for name, entry in results.absent.items()
        if not entry.get("warmfed") and entry.get("role") != "oneshot"
    }


def played(results: Results) -> list[str]:
    """The experiments scored on test images that pFedGPA was run on."""
    return [e for e in results.main.experiments if PFEDGPA in results.by_seed(e, "personal")]


def of_all_sizes(results: Results) -> Results:
    """The part that is scored on test images and played by many methods or by few: an experiment may
    stand beside another one, with other clients, another model or other data."""
    entries = results.experiments.items()
    return results.select([key for key, v in entries if v.get("role", "main") in ("main", "scale")])


def variants(results: Results, experiment: str) -> list[str]:
    """pFedGPA's own variants that were run on ``experiment``."""
    source = results.methods[PFEDGPA]["source"]
    return [
        method
        for method in results.by_seed(experiment, "personal")
        if results.methods[method]["family"] == "variant"
        and results.methods[method]["source"] == source
    ]


def by_round(results: Results, experiment: str, method: str) -> pd.DataFrame:
    """Means over clients by (seed, round), a column per name.

    ``start`` and ``trained`` are accuracies in [0, 1] before and after the round's local training, the
    rest is what the server reports after generation. ``nearest`` becomes ``own``: the share of clients
    whose generated weights are nearest to an upload of their own.
    """
    accuracy = results.rounds[results.rounds["client"] == -1].rename(columns={"metric": "name"})
    columns = ["experiment", "method", "seed", "round", "name", "value"]
    rows = [
        frame.loc[(frame["experiment"] == experiment) & (frame["method"] == method), columns]
        for frame in (accuracy, _own_share(results.server, "name"))
    ]
    rows = pd.concat([frame for frame in rows if not frame.empty] or rows[:1])
    return rows.groupby(["seed", "round", "name"])["value"].mean().unstack()


def last_round(frame: pd.DataFrame) -> pd.DataFrame:
    """The last evaluated round of each seed, of a frame by (seed, round)."""
    return frame.groupby("seed").tail(1).droplevel("round")


def rounds_to_reach(
    results: Results, experiment: str, target: pd.Series
) -> tuple[pd.DataFrame, int]:
    """Rounds until each method's personalised accuracy is at or above ``target`` of the same seed, seeds
    by methods, and the widest step between evaluations.

    Nothing is interpolated: the first evaluated round counts, and one more than all rounds where there
    is none.
    """
    frame = results.rounds
    frame = frame[
        (frame["experiment"] == experiment)
        & (frame["metric"] == "personal")
        & (frame["client"] == -1)
        & frame["seed"].isin(target.index)
    ]
    ran = frame.groupby(["seed", "method"]).size().index
    reached = frame[frame["value"] >= frame["seed"].map(target)]
    first = reached.groupby(["seed", "method"])["round"].min()
    never = results.experiments[experiment]["rounds"] + 1
    evaluated = sorted({0, *frame["round"]})
    step = max(int(b - a) for a, b in pairwise(evaluated))
    return first.reindex(ran, fill_value=never).unstack(), step


def one_shot(
    results: Results, experiment: str, fit: str
) -> Iterator[tuple[str, float, float, pd.DataFrame]]:
    """(rule, η, start, seeds by metrics) in the order of the study; metrics are means over clients."""
    frame = results.weights
    frame = frame[(frame["experiment"] == experiment) & (frame["fit"] == fit)]
    frame = _own_share(frame, "metric")
    for key, rows in frame.groupby(["rule", "eta", "start"], sort=False, dropna=False):
        yield *key, rows.groupby(["seed", "metric"])["value"].mean().unstack()


def newcomers(results: Results, experiment: str, main: bool) -> pd.DataFrame:
    """Mean accuracies of the newcomers on ``experiment``; ``main``: in the main setting alone."""
    frame = results.newcomers
    frame = frame[(frame["experiment"] == experiment) & (frame["client"] == -1)]
    if main:
        assert results.newcomer_main is not None  # where there are newcomers
        for column, value in zip(("steps", "omega"), results.newcomer_main, strict=True):
            frame = frame[frame[column].isna() | (frame[column] == value)]
    return frame


def trained_newcomers(results: Results) -> pd.DataFrame:
    """``newcomers`` of all experiments after local training, guided arms in the main setting alone."""
    frame = results.newcomers[results.newcomers["stage"] == "trained"]
    for column, value in zip(("steps", "omega"), results.newcomer_main or (), strict=False):
        frame = frame[frame[column].isna() | (frame[column] == value)]
    return frame


def by_local_round(rows: pd.DataFrame, stage: str) -> pd.DataFrame:
    """Seeds by local rounds, of rows of one arm in one setting."""
    rows = rows[rows["stage"] == stage]
    return rows.pivot(index="seed", columns="round", values="value")


def _own_share(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """``nearest`` (a client) in ``column`` replaced by ``own``: 1 where it is the client itself."""
    nearest = frame[column] == "nearest"
    is_own = (frame["value"] == frame["client"]).astype(float)
    return frame.assign(
        value=frame["value"].where(~nearest, is_own),
        **{column: frame[column].mask(nearest, "own")},
    )
