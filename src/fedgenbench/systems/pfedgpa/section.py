"""What the runs say of pFedGPA: the numbers behind its tables and figures, and a text made of them.

The question behind all of it is whether generation aggregates anything (papers/pfedgpa.md §3.3): a
server that hands back each client's own upload, a copy of a stored one or the mean would score as
well as local training or FedAvg do, and still look like a method.
"""

from collections.abc import Iterator, Sequence

import pandas as pd

from fedgenbench.core.wording import counted
from fedgenbench.report.results import Results, distinct
from fedgenbench.report.words import (
    absences,
    difference,
    listed,
    percent_text,
    signed,
    verdict,
)

PFEDGPA = "pfedgpa"
# The runs whose server sends, from the end of the warm-up on, something simpler in place of what it
# would generate. With the whole model generated the first is pure local training; layers that are not
# generated are averaged all the same.
SIMPLER = {
    "pfedgpa_own": "sending back the client's own upload",
    "pfedgpa_mean": "sending FedAvg's mean",
}
# Below this, generation is called a copy: of the client's own upload (``moved``), or of the nearest
# stored one (``gap``). Both are shares of what tells clients apart.
COPY = 0.05


# Numbers ----------------------------------------------------------------------------------------
def played(results: Results) -> list[str]:
    """The experiments scored on test images that pFedGPA was run on."""
    return [e for e in results.main.experiments if PFEDGPA in results.by_seed(e, "personal")]


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
        for column, value in zip(("steps", "omega"), results.newcomer_main, strict=True):
            frame = frame[frame[column].isna() | (frame[column] == value)]
    return frame


def by_local_round(rows: pd.DataFrame, stage: str) -> pd.DataFrame:
    """Seeds by local rounds, of rows of one arm in one setting."""
    rows = rows[rows["stage"] == stage]
    return rows.pivot(index="seed", columns="round", values="value")


def _own_share(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """``nearest`` (a client) in ``column`` replaced by ``own``: 1 where it is the client itself."""
    nearest = frame[column] == "nearest"
    own = (frame["value"] == frame["client"]).astype(float)
    return frame.assign(
        value=frame["value"].where(~nearest, own), **{column: frame[column].mask(nearest, "own")}
    )


# Words ------------------------------------------------------------------------------------------
def against(results: Results, experiment: str, other: str) -> str:
    """A sentence that compares pFedGPA's score with that of ``other``, a key of ``SIMPLER``."""
    what = SIMPLER[other]
    scores = results.by_seed(experiment, "personal")
    found = difference(results, scores[PFEDGPA], scores[other]) if other in scores else None
    if found is None:
        return f"A run with {what} to compare with is missing."
    few = "One seed" if found.n == 1 else "Two seeds"
    points = f"{signed(found)} points over {counted(found.n, 'seed')}"
    return {
        "higher": f"pFedGPA is significantly above {what} ({points}).",
        "lower": f"pFedGPA is significantly below {what} ({points}).",
        "open": f"pFedGPA is not significantly different from {what} ({points}).",
        "unknown": f"{few} cannot tell pFedGPA from {what} ({points}).",
    }[verdict(found)]


def pfedgpa_section_text(results: Results) -> str:
    """What was run, what generation did, and what it is worth; paragraphs parted by blank lines."""
    experiments = played(results)
    if not experiments:
        return "pFedGPA has not been run at this scale."
    paragraphs = [_what_was_run(results, experiments)]
    paragraphs += [_what_it_did(results, experiment) for experiment in experiments]
    return "\n\n".join(paragraphs)


def _what_was_run(results: Results, experiments: Sequence[str]) -> str:
    runs = results.select(experiments=experiments).runs
    seeds = runs.loc[runs["method"] == PFEDGPA, "seed"].nunique()
    titles = [results.experiments[experiment]["title"] for experiment in experiments]
    sentences = [
        f"pFedGPA replaces averaging by generation: the server learns the density of uploaded weights "
        f"and passes each upload through it. It was run on {listed(titles)}, with "
        f"{counted(seeds, 'seed')} at {' and '.join(distinct(runs, 'scale'))} scale."
    ]
    for reason, absent in absences(results, warmfed=False).items():
        sentences.append(f"Without runs here ({reason}): {listed(absent)}.")
    sentences.append(
        "Nothing published says which step of the inversion changes the weights; an exact one returns "
        "the upload, so that the method would be local training. Its score is therefore set beside "
        "runs whose server, from the same round on, sends back the upload itself, which is pure local "
        "training where the whole model is generated, or FedAvg's mean."
    )
    return " ".join(sentences)


def _what_it_did(results: Results, experiment: str) -> str:
    """Size, effect and worth of generation in one experiment."""
    last = last_round(by_round(results, experiment, PFEDGPA))
    sentences = []
    if "moved" in last:
        moved, own = (results.interval(last[name]) for name in ("moved", "own"))
        sentences.append(
            f"In the last round generation moved a client's weights by {percent_text(moved)} % of "
            "their distance from the mean of all, and the stored upload nearest to the result was "
            f"the client's own for {percent_text(own)} % of the clients."
        )
        step = difference(results, last["generated"], last["trained"])
        shown = {
            "higher": ", significantly more",
            "lower": ", significantly less",
            "open": ", no significant difference",
            "unknown": "",
        }[verdict(step)]
        sentences.append(
            f"What clients received then scored {signed(step)} points against what they had sent, "
            f"before any new training{shown}."
        )
    sentences += [against(results, experiment, other) for other in SIMPLER]
    sentences.append(_worth(results, experiment, last))
    return f"{results.experiments[experiment]['title']}. {' '.join(sentences)}"


def _worth(results: Results, experiment: str, last: pd.DataFrame) -> str:
    """The conclusion: is generation hollow here?"""
    copies = []
    if "moved" in last and last["moved"].mean() < COPY:
        copies.append("it hands back the uploads almost unchanged")
    if "gap" in last and last["gap"].mean() < COPY:
        copies.append("what it makes has the code of a stored upload")
    if copies:
        return f"Here generation is hollow: {' and '.join(copies)}."
    scores = results.by_seed(experiment, "personal")
    found = {
        what: difference(results, scores[PFEDGPA], scores[other])
        for other, what in SIMPLER.items()
        if other in scores
    }
    shown = {what: verdict(interval) for what, interval in found.items() if interval}
    if len(shown) < len(SIMPLER) or "unknown" in shown.values():
        return "Whether generation is worth anything cannot be said from these runs."
    if better := [what for what in shown if shown[what] == "lower"]:
        return f"Here {' and '.join(better)} would do better than generation."
    if no_gain := [what for what in shown if shown[what] == "open"]:
        return f"So these runs show no gain of generation over {' and '.join(no_gain)}."
    return "Here generation is worth more than both."
