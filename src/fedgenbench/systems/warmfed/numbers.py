"""What the runs say of WarmFed: the numbers behind its tables, figures and words.

Two questions are kept apart that the papers answer together (papers/warmfed.md §6): what the warm start
is worth, and what the algorithm adds to it. So every method also starts from WarmFed's warm start.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fedgenbench.core.wording import counted
from fedgenbench.report.results import Results
from fedgenbench.report.words import difference, verdict

WARMFED = "warmfed"
# Where the model starts and whether the rounds fine-tune on synthetic images: sheet §1.2, T3.
GLOBAL_ABLATION = {
    "fedavg": ("no", "no"),
    "warmfed_scratch": ("no", "yes"),
    "fedavg_warm": ("yes", "no"),
    "warmfed": ("yes", "yes"),
}
# What is fine-tuned: sheet §3.1, which keeps three readings apart.
SITES = {
    "warmfed": "clients, aggregate",
    "warmfed_before_only": "clients",
    "warmfed_server_pre": "uploads, aggregate",
    "warmfed_after_only": "aggregate",
}
SITED = (
    "each client's model before its own data (clients), each upload on the server (uploads), and "
    "the mean of all (aggregate)"
)
# Who teaches the personal model: sheet §1.2, T4.
TEACHERS = {
    "warmfed_plain": "nobody",
    "warmfed_previous": "the last round's model",
    "warmfed_mean": "mean of the last two",
    "warmfed": "chosen per image (DSD)",
}
# DSD's temperature over the rounds.
TEMPERATURES = ("warmfed", "warmfed_tau_constant", "warmfed_tau_cold")
SUBSET = "_subset_"  # of the names of rows that differ in the share of synthetic images
RANK = "rank_"  # of the names of adapters that are tried
TREND_ROUNDS = 4  # a line through fewer rounds leaves nothing to speak of


def absent(results: Results, role: str | None = None) -> dict[str, Mapping[str, Any]]:
    """WarmFed's experiments without runs here.

    ``role`` None: of any role; "left_out": those of which a domain would be left out.
    """
    entries = {name: entry for name, entry in results.absent.items() if entry.get("warmfed")}
    if role == "left_out":
        return {name: entry for name, entry in entries.items() if entry["leave_one_out"]}
    return {name: entry for name, entry in entries.items() if role in (None, entry.get("role"))}


def played(results: Results) -> list[str]:
    """The experiments scored on test images that WarmFed was run on."""
    main = results.main
    return [e for e in main.experiments if WARMFED in main.by_seed(e, "personal")]


def warm_rows(results: Results, method: str) -> list[str]:
    """The rows that are ``method`` from WarmFed's warm start."""
    return [
        name
        for name, entry in results.methods.items()
        if entry.get("of") == method and entry.get("start") == "warm" and method != WARMFED
    ]


def belonging(results: Results, role: str, base: str) -> dict[str, Mapping[str, Any]]:
    """The experiments with runs that vary ``base`` in the way that ``role`` says."""
    return {
        name: entry
        for name, entry in results.experiments.items()
        if entry["role"] == role and entry["base"] == base
    }


def by_round(results: Results, experiment: str, metric: str, method: str) -> pd.DataFrame:
    """Mean accuracy over clients in [0, 1], seeds by evaluated rounds."""
    frame = _rounds(results, experiment, metric)
    frame = frame[(frame["method"] == method) & (frame["client"] == -1)]
    return frame.pivot(index="seed", columns="round", values="value")


def before_round_1(results: Results, experiment: str, method: str) -> pd.DataFrame:
    """Accuracy of the warm start's global model, seeds by clients (-1: their mean)."""
    frame = _rounds(results, experiment, "global")
    frame = frame[(frame["method"] == method) & (frame["round"] == 0)]
    return frame.pivot(index="seed", columns="client", values="value")


def one_shot(
    results: Results, experiment: str, metric: str, domain: str | None = None
) -> pd.DataFrame:
    """Accuracy after one communication, seeds by methods, as ``Results.by_seed`` gives the last one.

    With a warm start that is round 0, the model of the synthetic images; else, and for what a method
    does not have in round 0, it is round 1. Controls communicate nothing: theirs is the final score.
    """
    frame = _rounds(results, experiment, metric)
    frame = frame[frame["round"] <= 1]
    started = results.rounds[
        (results.rounds["experiment"] == experiment)
        & (results.rounds["metric"] == "global")
        & (results.rounds["round"] == 0)
    ]
    frame = frame[(frame["round"] == 1) | frame["method"].isin(started["method"])]
    frame = frame[frame["round"] == frame.groupby("method")["round"].transform("min")]
    if domain is None:
        frame = frame[frame["client"] == -1]
    else:
        frame = frame[(frame["client"] >= 0) & (frame["domain"] == domain)]
    table = frame.groupby(["seed", "method"])["value"].mean().unstack()
    final = results.by_seed(experiment, metric, domain)
    controls = final.columns.intersection(results.family("control"))
    table = table.drop(columns=controls, errors="ignore").join(final[controls], how="outer")
    return table[[method for method in results.methods if method in table]]


def steadiness(results: Results, experiment: str, method: str) -> pd.DataFrame:
    """How steady personal models are over the rounds from 1 on; a row per seed, all in [0, 1].

    ``mean``: over rounds and clients. ``spread``: standard deviation of a client's accuracy over the
    rounds, mean over clients. ``around``: the same around a straight line through the client's rounds,
    so that steady progress counts as steady. Empty below ``TREND_ROUNDS`` evaluated rounds.
    """
    frame = _rounds(results, experiment, "personal")
    frame = frame[(frame["method"] == method) & (frame["client"] >= 0) & (frame["round"] >= 1)]
    rows = {}
    for seed, of_seed in frame.groupby("seed"):
        curves = of_seed.pivot(index="round", columns="client", values="value")
        if len(curves) >= TREND_ROUNDS:
            line = np.polyfit(curves.index, curves, 1)
            rest = curves - np.outer(curves.index, line[0]) - line[1]
            around = np.sqrt((rest**2).sum() / (len(curves) - 2))  # the line takes two
            rows[seed] = (curves.mean().mean(), curves.std().mean(), around.mean())
    return pd.DataFrame.from_dict(rows, "index", columns=["mean", "spread", "around"])


def traffic(results: Results, experiment: str, direction: str) -> pd.DataFrame:
    """MB that one client sends ("up") or receives ("down") in the whole run, seeds by methods."""
    runs = results.runs[results.runs["experiment"] == experiment]
    total = runs[f"bytes_{direction}_once"] + runs["rounds"] * runs[f"bytes_{direction}"]
    return (total / 1e6).set_axis([runs["seed"], runs["method"]]).unstack()


def collapses(results: Results, experiment: str) -> tuple[int, int]:
    """Client-rounds of all seeds in which DSD's mask took one side, and those with two teachers."""
    frame = results.server
    frame = frame[
        (frame["experiment"] == experiment)
        & (frame["method"] == WARMFED)
        & (frame["name"] == "collapsed")
    ]
    return int(frame["value"].sum()), len(frame)


def mask_varies(results: Results, experiment: str) -> str:
    """How evenly DSD's mask takes its two teachers, in a sentence; empty where there are not two."""
    shares = 100 * recorded(results, experiment, WARMFED, "selection_share").to_numpy()
    if not shares.size:
        return ""
    bits = recorded(results, experiment, WARMFED, "mask_entropy").to_numpy()
    return (
        f"It took the earlier teacher for {shares.min():.0f} to {shares.max():.0f} % of a client's "
        f"images in a round ({shares.mean():.0f} % in the mean), an entropy of "
        f"{bits.min():.2f} to {bits.max():.2f} bits; near 1 bit it differs from image to image, whether "
        "by what it has learnt or by its noise."
    )


def recorded(results: Results, experiment: str, method: str, name: str) -> pd.DataFrame:
    """What WarmFed's record has by this name: (seed, round) by clients."""
    frame = results.server
    wanted = (frame["experiment"] == experiment) & (frame["method"] == method)
    frame = frame[wanted & (frame["name"] == name) & (frame["client"] >= 0)]
    return frame.pivot(index=["seed", "round"], columns="client", values="value")


def subset_rows(results: Results) -> dict[str, list[str]]:
    """The experiments that choose a share of the synthetic images -> their rows."""
    found: dict[str, list[str]] = {}
    for name, entry in results.experiments.items():
        if entry.get("role") == "tuning":
            rows = [row for row in results.by_seed(name, "global") if SUBSET in row]
            found |= {name: rows} if rows else {}
    return found


def adapters_learnt(results: Results, experiment: str) -> str:
    """Whether the adapters' loss fell, in a sentence; empty without adapters.

    The first and the last tenth of a tuning are compared within seeds. Each draws its own noise, so
    that a small fall or rise means nothing.
    """
    frame = results.synthesis
    frame = frame[(frame["experiment"] == experiment) & (frame["kind"] == "adapter")]
    losses = frame[frame["name"].isin(["first_loss", "last_loss"]) & (frame["client"] >= 0)]
    losses = losses.pivot(index=["client", "seed"], columns="name", values="value")
    if losses.empty:
        return ""
    names = client_names(results, experiment)
    fell = {
        client: verdict(difference(results, of_client["first_loss"], of_client["last_loss"]))
        for client, of_client in losses.groupby("client")
    }
    if "unknown" in fell.values():
        return "Too few seeds to tell whether the adapters' loss fell."
    learnt = [names[client] for client, shown in fell.items() if shown == "higher"]
    if len(learnt) == len(fell):
        return "The loss fell significantly for every adapter."
    if not learnt:
        return "The loss fell significantly for no adapter: by it, none has learnt anything."
    return (
        f"The loss fell significantly for {len(learnt)} of {counted(len(fell), 'adapter')} "
        f"({', '.join(learnt)}): by it, the others have learnt nothing."
    )


def adapters_tried(results: Results, experiment: str) -> str:
    """What ranks change, and what the attack finds where there is something to find, in two sentences;
    empty without trials."""
    rows = tried(results, experiment)
    ranks = [row.mean() for name, row in rows.items() if name.startswith(RANK)]
    if not ranks:
        return ""
    falls, areas = ([row[key] for row in ranks] for key in ("fall_held_out", "auc"))
    numbers = [name.removeprefix(RANK) for name in rows if name.startswith(RANK)]
    known = rows["memorised"].mean()
    return (
        f"Adapters of rank {', '.join(numbers)} lower the loss of held-out images of one client by "
        f"{100 * min(falls):.1f} to {100 * max(falls):.1f} %. The membership attack has an area of "
        f"{min(areas):.2f} to {max(areas):.2f} at them, and of {known['auc']:.2f} at one that was tuned "
        f"on {known['images']:.0f} images until it knew them."
    )


def made(results: Results, experiment: str, kind: str) -> pd.DataFrame:
    """Numbers of one kind of report: (seed, client) by names."""
    frame = results.synthesis
    frame = frame[(frame["experiment"] == experiment) & (frame["kind"] == kind)]
    return frame.pivot(index=["seed", "client"], columns="name", values="value")


def tried(results: Results, experiment: str) -> dict[str, pd.DataFrame]:
    """What is said of adapters beside one client's usual one, of which it is one, of one that knows its
    images and of no adapter, by name: the first repetition by numbers."""
    frame = results.synthesis
    kinds = frame.loc[frame["experiment"] == experiment, "kind"].unique()
    ranks = sorted(
        (kind for kind in kinds if kind.startswith(RANK)),
        key=lambda kind: int(kind.removeprefix(RANK)),
    )
    names = [*ranks, *(name for name in ("memorised", "base") if name in kinds)]
    return {name: made(results, experiment, name).droplevel("client") for name in names}


def of_client(made: pd.DataFrame, client: int) -> pd.DataFrame:
    """The rows of one client of ``made``, by seed."""
    known = client in made.index.get_level_values("client")
    return made.xs(client, level="client") if known else made.iloc[:0].droplevel("client")


def client_names(results: Results, experiment: str) -> list[str]:
    """The clients' domains, numbered where two share one."""
    frame = results.scores
    frame = frame[(frame["experiment"] == experiment) & (frame["client"] >= 0)]
    domains = frame.drop_duplicates("client").sort_values("client")["domain"].tolist()
    if len(set(domains)) == len(domains):
        return domains
    return [f"{domain}, client {client}" for client, domain in enumerate(domains)]


def _rounds(results: Results, experiment: str, metric: str) -> pd.DataFrame:
    frame = results.rounds
    return frame[(frame["experiment"] == experiment) & (frame["metric"] == metric)]
