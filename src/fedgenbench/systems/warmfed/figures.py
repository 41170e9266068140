"""The figures of WarmFed: accuracy by round in its ablations, what DSD does, and an embedding.

Colours stand for settings and clients here, not for methods; references are grey.
"""

from collections.abc import Mapping
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fedgenbench.report.figures import (
    BLUE,
    BROKEN,
    COLOURS,
    GREEN,
    GREY,
    ORANGE,
    STYLE,
    Figure,
    finish,
    lay_out,
    level,
    line,
)
from fedgenbench.report.results import Results
from fedgenbench.systems.warmfed.numbers import (
    GLOBAL_ABLATION,
    SITED,
    SITES,
    TEACHERS,
    WARMFED,
    by_round,
    client_names,
    played,
)

PLAIN = "warmfed_plain"
# Title, unit, factor, and values to read it by: quantities of the server's record, by client.
_QUANTITIES = {
    "selection_share": (
        "Earlier teacher chosen",
        "% of images",
        100,
        {0: "last round's", 50: "evenly", 100: "the one before"},
    ),
    "mask_entropy": ("Entropy of the mask", "bits", 1, {1: "evenly"}),
    "selection_loss": ("Selection loss", "cross-entropy", 1, {}),
    "distillation_loss": ("Distillation loss", "KL divergence", 1, {}),
    "tau": ("Temperature τ", "", 1, {}),
    "collapsed": ("Mask collapsed", "% of seeds", 100, {}),
}
_KINDS = {
    "real": ("real", GREY, "o"),
    "adapter": ("adapter's", BLUE, "^"),
    "prompt": ("prompts alone", ORANGE, "s"),
}


def figures(results: Results) -> list[Figure]:
    """All that the runs at hand can fill, in the order of the report."""
    experiments = sorted(played(results))
    recorded = [e for e in experiments if not _record(results, e).empty]
    embedded = [e for e in experiments if results.picture(e, "embedding")]
    return [
        *(global_curves(results, experiment) for experiment in experiments),
        *(personal_curves(results, experiment) for experiment in experiments),
        *(self_distillation(results, experiment) for experiment in recorded),
        *(embedding(results, experiment) for experiment in embedded),
    ]


@matplotlib.rc_context(STYLE)
def global_curves(results: Results, experiment: str) -> Figure:
    """Accuracy of the global model by round: warm start by fine-tuning, and who fine-tunes."""
    drawing, (ablation, sites) = lay_out(2, 2, width=1.85, height=2.0, right=1.5)
    looks: dict[str, tuple[str, Any]] = {
        "fedavg": (GREY, BROKEN),
        "warmfed_scratch": (ORANGE, BROKEN),
        "fedavg_warm": (GREY, "-"),
        "warmfed": (BLUE, "-"),
    }
    words = {m: f"{_with(a, 'warm')}, {_with(b, 'FT')}" for m, (a, b) in GLOBAL_ABLATION.items()}
    _curves(ablation, results, experiment, "global", words, looks)
    ablation.set_title("Warm start and fine-tuning")
    words = SITES | {"fedavg_warm": "nothing"}
    colours = dict(zip(SITES, (BLUE, GREEN, ORANGE, COLOURS[4]), strict=True))
    looks = {m: (colour, "-") for m, colour in colours.items()}
    looks["fedavg_warm"] = (GREY, "-")
    _curves(sites, results, experiment, "global", words, looks)
    sites.set_title("What is fine-tuned")
    return Figure(
        f"warmfed_global_{experiment}",
        f"{results.experiments[experiment]['title']}: accuracy of the global model by round, mean and "
        f"{results.level} t-interval over seeds. Left: with and without the warm start and fine-tuning "
        "(FT) on synthetic images; round 0 is the warm start's own model. Right: from the warm "
        "start, "
        f"what is fine-tuned: {SITED}.",
        drawing,
    )


@matplotlib.rc_context(STYLE)
def personal_curves(results: Results, experiment: str) -> Figure:
    """Accuracy of the personal models by round and teacher, and the difference to none."""
    plain = by_round(results, experiment, "personal", PLAIN)
    compared = [] if plain.empty else [method for method in TEACHERS if method != PLAIN]
    drawing, (accuracy, *gains) = lay_out(
        2 if compared else 1, 2, width=1.85, height=2.0, right=1.5
    )
    colours = dict(zip(TEACHERS, (GREY, ORANGE, GREEN, BLUE), strict=True))
    looks = {method: (colour, "-") for method, colour in colours.items()}
    _curves(accuracy, results, experiment, "personal", TEACHERS, looks)
    accuracy.set_title("By teacher")
    for gain in gains:
        labels = [level(gain, 0.0, "no teacher", BROKEN)]
        for method in compared:
            taught = by_round(results, experiment, "personal", method)
            ahead = 100 * (taught - plain).dropna(how="all").dropna(axis="columns", how="all")
            if not ahead.empty:
                labels.append(line(gain, results, ahead, TEACHERS[method], colours[method]))
        gain.set(title="Gain over no teacher", xlabel="Round", ylabel="points")
        gain.xaxis.set_major_locator(MaxNLocator(integer=True))
        finish(gain, labels)
    return Figure(
        f"warmfed_personal_{experiment}",
        f"{results.experiments[experiment]['title']}: accuracy of the personal models by round and by "
        f"who teaches them, mean and {results.level} t-interval over seeds. "
        + "Right: the difference to no teacher within a seed, in points. "
        * bool(compared)
        + "Round 0 is before anybody can teach; in round 1 there is one past model, so that all that "
        "teach are alike.",
        drawing,
    )


@matplotlib.rc_context(STYLE)
def self_distillation(results: Results, experiment: str) -> Figure:
    """What DSD's selector does: a panel per quantity, a line per client, by round."""
    record = _record(results, experiment)
    names = client_names(results, experiment)
    # A collapse that never comes is said in words; a panel of it would be empty.
    known = record[(record["name"] != "collapsed") | (record["value"] > 0)]
    shown = {name: look for name, look in _QUANTITIES.items() if (known["name"] == name).any()}
    drawing, panels = lay_out(len(shown), 2, width=1.75, height=1.35, right=1.4)
    for axes, (name, (title, unit, factor, marks)) in zip(panels, shown.items(), strict=True):
        axes.set(title=title, xlabel="Round", ylabel=unit)
        table = (
            factor
            * record[record["name"] == name].groupby(["round", "client"])["value"].mean().unstack()
        )
        labels = []
        if (table.nunique(axis="columns") == 1).all():  # the same for all: one line says it
            table, names_here = table.iloc[:, :1], ["all clients"]
        else:
            names_here = names
        for place, client in enumerate(table):
            colour = COLOURS[place % len(COLOURS)]
            values = table[client].dropna()
            axes.plot(values, color=colour, marker="o", markersize=2.5, clip_on=False)
            labels.append((values.iloc[-1], names_here[place], colour))
        labels += [level(axes, mark, words, BROKEN) for mark, words in marks.items()]
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        finish(axes, labels)
    return Figure(
        f"warmfed_dsd_{experiment}",
        f"{results.experiments[experiment]['title']}: dynamic self-distillation by round and client, "
        "means over seeds. Earlier teacher: share of private images whose teacher was the "
        "personal model of two rounds ago and not the last round's; there are two to choose from "
        "as of round 2. Entropy: of that share, 0 bits where one side is always taken. Collapsed:"
        " at least 99 % of the images on one side.",
        drawing,
    )


@matplotlib.rc_context(STYLE)
def embedding(results: Results, experiment: str) -> Figure:
    """t-SNE of features of real and synthetic images: by what they are, and by client."""
    picture = results.picture(experiment, "embedding")
    assert picture is not None  # ``figures`` asks where there is one
    points = pd.read_parquet(picture.path)
    names = client_names(results, experiment)
    drawing, panels = lay_out(
        2, 2, width=2.2, height=2.2, left=0.1, right=0.35 + 0.06 * max(map(len, names))
    )
    for axes, title in zip(panels, ("By origin", "By client"), strict=True):
        axes.set(title=title, xticks=[], yticks=[])
        axes.grid(visible=False)
    for kind, (words, colour, marker) in _KINDS.items():
        of_kind = points[points["kind"] == kind]
        if of_kind.empty:
            continue
        look: dict[str, Any] = {"s": 7, "marker": marker, "linewidths": 0, "alpha": 0.7}
        look["rasterized"] = True
        panels[0].scatter(of_kind["x"], of_kind["y"], color=colour, label=words, **look)
        for client, rows in of_kind.groupby("client"):
            tint = COLOURS[client % len(COLOURS)] if client >= 0 else "#cccccc"
            panels[1].scatter(rows["x"], rows["y"], color=tint, **look)
    for client, name in enumerate(names):
        panels[1].scatter([], [], color=COLOURS[client % len(COLOURS)], s=7, label=name)
    for axes in panels:
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, handletextpad=0.2,
            fontsize=6.5,
        )  # fmt: skip
    return Figure(
        f"warmfed_embedding_{experiment}",
        f"{results.experiments[experiment]['title']}, seed {picture.seed}: t-SNE of a classifier's "
        "features of clients' real images (circles), images drawn with their adapters (triangles)"
        " and from prompts alone (squares). Distances between far groups mean nothing in such a "
        "map.",
        drawing,
    )


def _curves(
    axes: Axes,
    results: Results,
    experiment: str,
    metric: str,
    words: Mapping[str, str],
    looks: Mapping[str, tuple[str, Any]],
) -> None:
    """A line per method that was run, named by ``words``."""
    labels = []
    for method, text in words.items():
        table = by_round(results, experiment, metric, method)
        if not table.empty:
            labels.append(line(axes, results, 100 * table, text, *looks[method]))
    axes.set(xlabel="Round", ylabel="Accuracy (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish(axes, labels)


def _with(answer: str, what: str) -> str:
    return what if answer == "yes" else f"no {what}"


def _record(results: Results, experiment: str) -> pd.DataFrame:
    frame = results.server
    of_warmfed = (frame["experiment"] == experiment) & (frame["method"] == WARMFED)
    return frame[of_warmfed & frame["name"].isin(_QUANTITIES)]
