"""What the jobs say of FedLMG: the numbers behind its tables and figures, and a text made of them.

There are no rounds: each client sends its classifier once, the server draws images under guidance of
each, and trains one model in three ways (papers/fedlmg.md §3).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fedgenbench.core.wording import counted
from fedgenbench.report.published import NOTHING_PUBLISHED
from fedgenbench.report.results import Drawn, Results, distinct
from fedgenbench.report.words import absences, difference, listed, worth
from fedgenbench.systems.fedlmg.measurements import SHOWN
from fedgenbench.systems.fedlmg.published import FedLMGPublished

# The server's rows by block, in the order of the published table.
CONTROLS = {"ceiling_head": "Ceiling, head alone", "ceiling": "Ceiling"}
OTHERS = {
    "prompts": "Prompts alone",
    "fedavg": "FedAvg",
    "fedprox": "FedProx",
    "feddf": "FedDF",
    "dense": "DENSE",
    "fgl": "FGL",
    "feddisc": "FedDISC",
    "feddeo": "FedDEO",
}
WAYS = {
    "fedlmg_ft": "FedLMG, fine-tuning",
    "fedlmg_md": "FedLMG, multi-teacher",
    "fedlmg_sd": "FedLMG, specific teacher",
}
LABELS = CONTROLS | OTHERS | WAYS
SHORT = {"fedlmg_ft": "FT", "fedlmg_md": "MD", "fedlmg_sd": "SD"}
# Ablations that the sheet names; another one is called by what it changes.
ABLATIONS = {
    "no_batch_norm": "without batch-norm loss",
    "no_cross_entropy": "without cross-entropy",
    "no_editing": "without editing of the noise",
}
SYMBOLS = {"editing_steps": "M", "batch_norm": "λ"}
# Budgets that a scale may cut, and the sheet's own (§4).
SHEET = {
    "editing_steps": ("editing steps", 10),
    "steps": ("denoising steps", 50),
    "per_class": ("images per client and class", 30),
}
# Kinds of figure in the order of the report; an id is ``fedlmg_<kind>_<experiment>``.
FIGURES = ("guided", "editing", "losses", "sizes")
SETTINGS = ("feature skew", "label skew", "overlapping labels", "different architectures")


# Numbers ----------------------------------------------------------------------------------------
def served(results: Results, setting: str | None = None) -> list[str]:
    """The experiments of FedLMG with results; ``setting`` None: in the order of ``SETTINGS``."""
    return [
        experiment
        for each in ([setting] if setting else SETTINGS)
        for experiment, entry in results.experiments.items()
        if entry.get("fedlmg", {}).get("setting") == each
    ]


def setup(results: Results, experiment: str) -> Mapping[str, Any]:
    """What ``fedlmg_setups`` says of an experiment."""
    return results.experiments[experiment]["fedlmg"]


def accuracies(
    results: Results, experiment: str, name: str = "main", client: int = -1
) -> pd.DataFrame:
    """Accuracy in [0, 1] of the server's models, seeds by rows; ``client`` -1: mean over clients."""
    frame = pd.concat(_part(results, experiment, kind, name) for kind in ("server", "dense"))
    frame = frame[(frame["quantity"] == "accuracy") & (frame["client"] == client)]
    return frame.pivot(index="seed", columns="row", values="value")


def sized(results: Results, experiment: str, way: str) -> pd.DataFrame:
    """Mean accuracy of ``way`` by number of images per client and class: seeds by numbers."""
    table = accuracies(results, experiment)
    sizes = {f"{way}@{size}": size for size in _sizes(table, way)}
    sizes[way] = setup(results, experiment)["drawn"]["per_class"]
    return table.reindex(columns=list(sizes)).rename(columns=sizes).dropna(axis=1, how="all")


def _sizes(table: pd.DataFrame, way: str) -> list[int]:
    return sorted(int(row.split("@")[1]) for row in table if row.startswith(f"{way}@"))


def beside_ablations(results: Results, experiment: str) -> pd.DataFrame:
    """Mean accuracy of FedLMG's ways on as many images as the ablations have: seeds by ways."""
    size = setup(results, experiment)["ablation_per_class"]
    return pd.DataFrame({way: sized(results, experiment, way)[size] for way in WAYS})


def losses(results: Results, experiment: str, quantity: str, name: str = "main") -> pd.DataFrame:
    """``quantity`` (cross_entropy, batch_norm) at each gradient: seeds by gradients."""
    frame = _part(results, experiment, "guided", name)
    frame = frame[frame["quantity"] == quantity]
    return frame.pivot(index="seed", columns="step", values="value")


def of_clients(results: Results, experiment: str, quantity: str, row: str = "client") -> Any:
    """What is said of the uploads: seeds by clients."""
    frame = _part(results, experiment, "classifiers", "")
    frame = frame[(frame["quantity"] == quantity) & (frame["row"] == row) & (frame["client"] >= 0)]
    return frame.pivot(index="seed", columns="client", values="value")


def of_rival(results: Results, experiment: str, quantity: str, name: str) -> pd.Series:
    """What a rival asks of a client, mean over clients, by seed."""
    frame = _part(results, experiment, "rival", name)
    frame = frame[(frame["quantity"] == quantity) & (frame["client"] >= 0)]
    return frame.groupby("seed")["value"].mean()


def fact(
    results: Results, experiment: str, kind: str, quantity: str, name: str = "main"
) -> pd.Series:
    """A number of a whole job, by seed."""
    frame = _part(results, experiment, kind, name)
    frame = frame[(frame["quantity"] == quantity) & (frame["client"] == -1) & (frame["row"] == "")]
    return frame.set_index("seed")["value"]


def likeness(results: Results, experiment: str) -> pd.DataFrame:
    """How near images are to the client's own, mean over clients: seeds by "<set>_<measure>"."""
    frame = _part(results, experiment, "server", "main")
    frame = frame[frame["row"] == "likeness"]
    return frame.groupby(["seed", "quantity"])["value"].mean().unstack()


def skipped_share(results: Results, experiment: str) -> float:
    """Gradients left out as not finite, as a share of all: over clients and seeds."""
    frame = _part(results, experiment, "guided", "main")
    totals = frame.groupby("quantity")["value"].sum()
    return float(totals.get("skipped", 0) / totals["gradients"]) if "gradients" in totals else 0.0


def changed(results: Results, experiment: str, name: str) -> str:
    """An ablation in words."""
    changes = setup(results, experiment)["ablations"][name].items()
    return ABLATIONS.get(name) or ", ".join(
        f"{SYMBOLS.get(key, key)} = {f'{value:g}' if isinstance(value, float) else value}"
        for key, value in changes
    )


def architectures(results: Results, experiment: str) -> dict[str, list[int]]:
    """Architecture -> its clients."""
    clients: dict[str, list[int]] = {}
    for client, model in enumerate(setup(results, experiment)["models"]):
        clients.setdefault(model, []).append(client)
    return clients


def shown_guided(results: Results, experiment: str) -> list[Drawn]:
    """The files of images to compare, drawn from the same noise, in the order of ``SHOWN``."""
    found = [results.picture(experiment, name) for name in SHOWN]
    return [picture for picture in found if picture]


def _part(results: Results, experiment: str, kind: str, name: str) -> pd.DataFrame:
    frame = results.fedlmg
    own = (frame["experiment"] == experiment) & (frame["kind"] == kind) & (frame["name"] == name)
    return frame[own]


# Words ------------------------------------------------------------------------------------------
def fedlmg_section_text(results: Results) -> str:
    """What was run, and what it shows; paragraphs parted by blank lines."""
    experiments = served(results)
    if not experiments:
        return "FedLMG has not been run at this scale."
    paragraphs = [_what_was_run(results, experiments)]
    paragraphs += [_what_it_shows(results, experiment) for experiment in experiments]
    return "\n\n".join(paragraphs)


def _what_was_run(results: Results, experiments: Sequence[str]) -> str:
    seeds = results.fedlmg["seed"].nunique()
    titles = [results.experiments[experiment]["title"] for experiment in experiments]
    sentences = [
        "In FedLMG each client sends its classifier, once, and nothing else. A diffusion model on the "
        "server draws images of every class that a client holds; its noise is edited and each of "
        "its steps bent so that the client's classifier sees the class and, in its batch-norm "
        "statistics, the client's images. One model is trained on the images of all clients: on their "
        "labels (fine-tuning, FT), on the mean of all classifiers too (multi-teacher, MD), or on "
        "the classifier that guided the image (specific teacher, SD). It was run on "
        f"{listed(titles)}, with {counted(seeds, 'seed')} at "
        f"{' and '.join(distinct(results.runs, 'scale'))} scale."
    ]
    for reason, absent in absences(results, warmfed=False, role="oneshot").items():
        sentences.append(f"Without results here ({reason}): {listed(absent)}.")
    sentences.append(
        "Prompts alone is the same noise and sampler without guidance. FGL, FedDISC and FedDEO draw as "
        "many images in as many steps, the first and the last from that noise too; DENSE has a generator "
        "and a training of its own (docs/guidance.md). Every row starts from the same "
        "weights, and each score is that of the last epoch. The ceiling is trained on all "
        "clients' images, as the server's model is and with its head alone: papers/fedlmg.md §8 "
        "tells by these two how the paper trained its own."
    )
    return " ".join(sentences)


def _what_it_shows(results: Results, experiment: str) -> str:
    """Guidance, ways of training and parts of guidance in one experiment."""
    table = accuracies(results, experiment)
    compared = [
        (f"guidance ({short} − {label})", table, way, table, other)
        for way, short in SHORT.items()
        for other, label in {"prompts": "prompts alone"}.items()
    ]
    for other in OTHERS:
        if other in ("prompts", "fedprox"):
            continue  # the first stands above, the second is FedAvg's twin in one round
        compared.append((f"SD − {LABELS[other]}", table, "fedlmg_sd", table, other))
    compared.append(("the guiding teacher (SD − FT)", table, "fedlmg_sd", table, "fedlmg_ft"))
    if ablations := setup(results, experiment)["ablations"]:
        full = beside_ablations(results, experiment)
        for name in ablations:
            words = changed(results, experiment, name)
            what = f"SD − SD {words if name in ABLATIONS else f'with {words}'}"
            compared.append((what, full, "fedlmg_sd", accuracies(results, experiment, name)))
    sentences = [
        sentence
        for what, a, row, b, *other in compared
        if (sentence := _worth(results, what, a, row, b, *(other or [row])))
    ]
    return f"{results.experiments[experiment]['title']}. {' '.join(sentences)}"


def _worth(
    results: Results, what: str, a: pd.DataFrame, row: str, b: pd.DataFrame, other: str
) -> str:
    """A sentence about ``row`` of a − ``other`` of b; empty where one of them is not there."""
    found = difference(results, a[row], b[other]) if row in a and other in b else None
    return worth(what, found)


def fedlmg_bullets(results: Results, published: FedLMGPublished) -> list[str]:
    """What is published, what this scale cuts, and what is not there."""
    printed: dict[str, list[str]] = {}
    for table in published.tables:
        printed.setdefault(table.setting, []).append(table.dataset)
    tables = [f"{setting} ({', '.join(datasets)})" for setting, datasets in printed.items()]
    unknown = list(dict.fromkeys(name for cell in published.cells for name in cell.settings))
    bullets = [
        f"Published tables that stand here: {listed(tables)}." if tables else NOTHING_PUBLISHED,
        *([f"No cell is at hand of: {listed(unknown)}."] if unknown else []),
        *(f"{f.text} ({f.status}; {f.source})" for f in published.figures),
    ]
    cuts: dict[str, list[str]] = {}
    for experiment in served(results):
        if words := _cut(setup(results, experiment)):
            cuts.setdefault(words, []).append(results.experiments[experiment]["title"])
    bullets += [f"Cut for {listed(titles)}: {words}." for words, titles in cuts.items()]
    return [
        *bullets,
        "Missing: FedDyn, which may be a row of the paper (papers/fedlmg.md §1.2), is not played in "
        "one shot; with rounds it stands among the methods.",
        "Missing: a privacy study, which the paper is believed to have (papers/fedlmg.md §1.3).",
    ]


def _cut(here: Mapping[str, Any]) -> str:
    """What an experiment does less of than the sheet; empty where nothing."""
    done = {"editing_steps": here["guidance"]["editing_steps"], **here["drawn"]}
    less = [
        f"{words} {done[key]} (the sheet: {asked})"
        for key, (words, asked) in SHEET.items()
        if done[key] != asked
    ]
    base = here["drawn"]["base"]
    drawn = f"; drawn by {base['source']} at {base['resolution']}×{base['resolution']} pixels"
    return ", ".join(less) + drawn if less else ""
