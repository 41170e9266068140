"""What the jobs say of FedLMG: the numbers behind its tables, figures and words.

FedLMG has no rounds: each client sends its classifier once, the server draws images under guidance of
each, and trains one model in three ways (papers/fedlmg.md §3).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from fedgenbench.core.wording import counted
from fedgenbench.report.notes import scale_notes
from fedgenbench.report.results import Picture, Results, distinct
from fedgenbench.report.words import spread_note
from fedgenbench.systems.fedlmg.measurements import SHOWN
from fedgenbench.systems.fedlmg.settings import VARIED

# The server's rows by block, in the order of the published table.
CONTROLS = {"ceiling_head": "Ceiling, head alone", "ceiling": "Ceiling"}
OTHERS = {
    "prompts": "Prompts alone",
    "fedavg": "FedAvg",
    "fedprox": "FedProx",
    "feddyn": "FedDyn",
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
# On a client's domain, without its upload.
SHIFTED = {
    "unseen_ensemble": "the other clients' classifiers, their mean",
    "unseen_sd": "FedLMG, specific teacher, of the other clients",
}
# Ablations that the sheet names; another one is called by what it changes.
ABLATIONS = {
    "no_batch_norm": "without batch-norm loss (nor editing by it)",
    "no_cross_entropy": "without cross-entropy",
    "no_editing": "without editing of the noise",
    "latent": "as the released code: the latent is moved",
    "running": "running statistics, in uploads and the server's model",
}
SYMBOLS = {"editing_steps": "M", "editing_step": "η", "batch_norm": "λ"}
SETTINGS = (
    *("feature skew", "label skew", "overlapping labels", "different architectures"),
    "number of clients",
)
SERVER = ("server-main",)  # the job that trains on guided images and on those of baselines
MULTI_ROUND = ("fedavg", "fedprox", "feddyn", "feddf")


def absent(results: Results) -> dict[str, Mapping[str, Any]]:
    """The one-shot experiments without results here."""
    return {
        name: entry
        for name, entry in results.absent.items()
        if not entry.get("warmfed") and entry.get("role") == "oneshot"
    }


def experiments_of(results: Results, setting: str | None = None) -> list[str]:
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
    parts = [_part(results, experiment, kind, name) for kind in ("server", "dense")]
    if name == "main":
        parts.append(_part(results, experiment, "rounds", "all"))
    frame = pd.concat(parts)
    frame = frame[(frame["quantity"] == "accuracy") & (frame["client"] == client)]
    return frame.pivot(index="seed", columns="row", values="value")


def jobs_behind(results: Results, experiment: str, row: str, name: str = "main") -> tuple[str, ...]:
    """The job that gives ``row`` of ``accuracies``, as ``kind-name``; none where there is none."""
    frame = results.fedlmg
    frame = frame[(frame["experiment"] == experiment) & (frame["row"] == row)]
    frame = frame[
        (frame["quantity"] == "accuracy") & frame["kind"].isin(["server", "dense", "rounds"])
    ]
    frame = frame[frame["name"].isin([name, "all"] if name == "main" else [name])]
    return tuple((frame["kind"] + "-" + frame["name"]).unique())


def sized(results: Results, experiment: str, way: str) -> pd.DataFrame:
    """Mean accuracy of ``way`` by number of images per client and class: seeds by numbers."""
    table = accuracies(results, experiment)
    sizes = {f"{way}@{size}": size for size in _sizes(table, way)}
    sizes[way] = setup(results, experiment)["drawn"]["per_class"]
    return table.reindex(columns=list(sizes)).rename(columns=sizes).dropna(axis=1, how="all")


def _sizes(table: pd.DataFrame, way: str) -> list[int]:
    return sorted(int(row.split("@")[1]) for row in table if row.startswith(f"{way}@"))


def beside_ablations(results: Results, experiment: str) -> pd.DataFrame:
    """Mean accuracy on as many images as the variations have: seeds by rows."""
    size = setup(results, experiment)["ablation_per_class"]
    of_size = {way: sized(results, experiment, way) for way in (*VARIED, "prompts")}
    return pd.DataFrame({way: table[size] for way, table in of_size.items() if size in table})


def images_of(results: Results, experiment: str) -> dict[str, float]:
    """Row of the server -> images that its model was trained on, mean over seeds."""
    frame = _part(results, experiment, "server", "main")
    frame = frame[(frame["quantity"] == "images") & (frame["client"] == -1)]
    return frame.groupby("row")["value"].mean().to_dict()


def equally_many(results: Results, experiment: str, crowd: str) -> pd.DataFrame:
    """Mean accuracy of FedLMG's ways on as many images as another experiment has: seeds by ways.

    A way has no column where neither all images nor the first of each client and class are as many.
    """
    images, wanted = images_of(results, experiment), images_of(results, crowd)
    table = accuracies(results, experiment)
    rows = {
        way: row
        for row, count in images.items()
        if (way := row.split("@")[0]) in WAYS and count == wanted.get(way)
    }
    return pd.DataFrame({way: table[row] for way, row in rows.items()})


def losses(results: Results, experiment: str, quantity: str, name: str = "main") -> pd.DataFrame:
    """``quantity`` (cross_entropy, batch_norm) at each gradient: seeds by gradients."""
    frame = _part(results, experiment, "guided", name)
    frame = frame[frame["quantity"] == quantity]
    return frame.pivot(index="seed", columns="step", values="value")


def trials(results: Results, experiment: str) -> pd.DataFrame:
    """Losses of finished images by size (empty without editing) and number of editing steps."""
    frame = _part(results, experiment, "editing", "trials")
    frame = frame[frame["quantity"] != "wall_seconds"]
    return frame.pivot(index=["row", "step"], columns="quantity", values="value")


def of_clients(results: Results, experiment: str, quantity: str, row: str = "client") -> Any:
    """What is said of the uploads: seeds by clients."""
    frame = _part(results, experiment, "classifiers", "")
    frame = frame[(frame["quantity"] == quantity) & (frame["row"] == row) & (frame["client"] >= 0)]
    return frame.pivot(index="seed", columns="client", values="value")


def of_baseline(results: Results, experiment: str, quantity: str, name: str) -> pd.Series:
    """What a one-shot baseline asks of a client, mean over clients, by seed."""
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


def similarity(results: Results, experiment: str) -> pd.DataFrame:
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
    if name.startswith("noise_"):
        return f"noise of level {name.removeprefix('noise_')} on the uploads"
    if name.startswith("base_"):
        return f"drawn by {dict(changes)['base']}"
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


def shown_guided(results: Results, experiment: str) -> list[Picture]:
    """The files of images to compare, drawn from the same noise, in the order of ``SHOWN``."""
    pictures = [results.picture(experiment, name) for name in SHOWN]
    return [picture for picture in pictures if picture]


def _part(results: Results, experiment: str, kind: str, name: str) -> pd.DataFrame:
    frame = results.fedlmg
    wanted = (frame["experiment"] == experiment) & (frame["kind"] == kind) & (frame["name"] == name)
    return frame[wanted]


def job_notes(results: Results, experiments: Iterable[str], bold: bool = False) -> tuple[str, ...]:
    """How the numbers came about; FedLMG has no runs, whose notes other tables have."""
    experiments = list(experiments)
    frame = results.fedlmg[results.fedlmg["experiment"].isin(experiments)]
    setups = [setup(results, experiment) for experiment in experiments]
    hardware = sorted({name for each in setups for name in each["hardware"]})
    notes = [
        spread_note(results, [frame["seed"].nunique()], bold),
        f"Scale: {', '.join(distinct(results.runs, 'scale'))}. Hardware: {', '.join(hardware)}.",
        *scale_notes(results.runs),
    ]
    if dirty := sum(each["dirty"] for each in setups):
        jobs = counted(dirty, "job")
        notes.append(f"Warning: {jobs} made in a working tree with uncommitted changes.")
    return tuple(notes)
