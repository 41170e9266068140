"""Made-up reports of FedLMG's jobs, whose means and intervals can be worked out by hand.

A seed shifts every accuracy by a point (``SPLIT``); beyond that only FedLMG's three ways of training
vary under full guidance, by ``JITTER``: a difference to them has the interval of ``JITTER``,
t(0.975, 2) · 0.002 / √3. Clients lie ``APART`` from each other.
"""

from pathlib import Path
from typing import Any

import numpy as np
import synthetic_warmfed
from measured_jobs import RECORD, frames

from fedgenbench.core.reports import save_report
from fedgenbench.images.generated import save_images
from fedgenbench.report.collect import Address, read_jobs
from fedgenbench.report.results import Picture, Results
from fedgenbench.systems.fedlmg.measurements import setups

SPLIT = synthetic_warmfed.SPLIT
JITTER = synthetic_warmfed.JITTER
APART = 0.02
SHOWN = ("prompts", "fgl", "feddisc", "feddeo", "no_editing", "main")
NAMES = ["blob", "fluent", "noto"]
CLASSES = ["cat", "dog", "fox", "owl"]
EDITING, STEPS = 2, 3
EMOJI = "emoji_domains-oneshot"

ACCURACY = {
    "fedlmg_ft": 0.62,
    "fedlmg_md": 0.64,
    "fedlmg_sd": 0.66,
    "fedlmg_ft@1": 0.48,
    "fedlmg_sd@1": 0.50,
    "prompts": 0.50,
    "prompts@1": 0.45,
    "fgl": 0.53,
    "feddisc": 0.54,
    "feddeo": 0.55,
    "ceiling": 0.80,
    "ceiling_head": 0.60,
    "unseen_ensemble": 0.30,
    "unseen_sd": 0.55,
}
ROUNDS = {"fedavg": 0.40, "fedprox": 0.41, "feddyn": 0.42, "feddf": 0.52}
RIVALS = {"fgl": 0.1, "feddisc": 0.3, "feddeo": 3.0}  # their uploads in kB, client by client more
DENSE = 0.35
LOST = {"no_batch_norm": 0.03, "no_editing": 0.01, "running": 0.05}
GUIDANCE = {"editing_steps": EDITING, "guide": True, "cross_entropy": 1.0, "batch_norm": 0.1}
GUIDANCE |= {"form": "noise", "editing_step": 0.5, "strength": 1.0, "scheduler": "pipeline"}
TRAINING = {"epochs": 20, "batch_size": 32, "lr": 0.01, "momentum": 0.9, "weight_decay": 1e-5}
TRAINING |= {"statistics": "recalibrated"}
CHANGES = {
    "main": {},
    "prompts": {"editing_steps": 0, "guide": False},
    "no_batch_norm": {"batch_norm": 0.0},
    "no_editing": {"editing_steps": 0},
    "running": {},
}
TRIALS = [
    {"size": 1.0, "steps": 0, "cross_entropy": 0.5, "batch_norm": 10.0},
    {"size": 0.5, "steps": 2, "cross_entropy": 0.25, "batch_norm": 8.0},
    {"size": 0.5, "steps": 4, "cross_entropy": 0.75, "batch_norm": 7.0},
]
ASKED = ["base_strict"]
# experiment -> title, scheme, clients' architectures, ablations
MADE = {
    EMOJI: ("EmojiDomains, one shot", {"scheme": "domain"}, ["bn_cnn"], tuple(LOST)),
    "emoji_domains-labels": (
        "EmojiDomains, two classes a client",
        {"scheme": "class_blocks", "classes_per_client": 2, "stride": None},
        ["bn_cnn"],
        (),
    ),
    "emoji_domains-overlap": (
        "EmojiDomains, two shared",
        {"scheme": "class_blocks", "classes_per_client": 4, "stride": 2},
        ["bn_cnn"],
        (),
    ),
    "emoji_domains-mixed": (
        "EmojiDomains, two architectures",
        {"scheme": "domain"},
        ["mlp", "mini_vgg"],
        (),
    ),
    "emoji_domains-many": (
        "EmojiDomains, nine clients",
        {"scheme": "domain_dirichlet", "clients_per_domain": 3, "alpha": 1.0},
        ["bn_cnn"],
        (),
    ),
}
CROWDED = 0.02  # by which more clients are worse
ABSENT = {
    "openimage": {
        "title": "OpenImage, 6 clients",
        "dataset": "OpenImage",
        "clients": 6,
        "warmfed": False,
        "role": "oneshot",
        "leave_one_out": False,
        "reason": "no data",
    }
}


def digest_of(experiment: str, seed: int, kind: str, name: str) -> str:
    return f"{len(experiment):02d}{seed}{kind[:3]}{name[-4:]:_>4}"


def write_jobs(folder: Path, seeds: int = 3) -> list[tuple[Address, dict[str, Any]]]:
    """The metrics of every job in ``folder``, and what is read of them."""
    listing = []
    for experiment, (_, _, models, ablations) in MADE.items():
        averages = len(models) == 1
        for seed in range(seeds):
            jobs = {("classifiers", "all"): _classifiers(models)}
            if ablations:  # the uploads of one row
                jobs["classifiers", "running"] = _classifiers(models, "running")
            if experiment != "emoji_domains-many":
                jobs["rounds", "all"] = _rounds(seed, averages)
            for name in ("main", "prompts", *ablations):
                jobs["guided", name] = _guided(name, seed)
            for name in ("main", *ablations):
                jobs["server", name] = _server(name, seed, bool(ablations))
                if experiment == "emoji_domains-many":
                    # As many images as three clients have of one each, which are as good.
                    for way, row in jobs["server", name]["rows"].items():
                        fewer = ACCURACY[way] - ACCURACY.get(f"{way}@1", ACCURACY[way])
                        row["accuracy"] = [value - fewer - CROWDED for value in row["accuracy"]]
                        row["images"] = 12
            if ablations and not seed:
                jobs["editing", "trials"] = {"settings": {}, "trials": TRIALS}
            if ablations:
                jobs |= {("rival", name): _rival(size) for name, size in RIVALS.items()}
                accuracy = [DENSE + SPLIT[seed] + APART * (client - 1) for client in range(3)]
                rows = {"dense": {"accuracy": accuracy, "losses": [1.0, 0.5], "images": 64}}
                jobs["dense", "main"] = {"settings": {"server": {}}, "rows": rows}
            for (kind, name), content in jobs.items():
                digest = digest_of(experiment, seed, kind, name)
                place = folder / experiment / f"{kind}-{name}" / f"seed{seed}"
                place.mkdir(parents=True, exist_ok=True)
                save_report(place / "metrics.json", {"digest": digest} | content, RECORD)
                listing.append((kind, experiment, name, seed, -1, digest, str(place)))
    return list(read_jobs(listing))


def _rounds(seed: int, averages: bool) -> dict[str, Any]:
    rows = {}
    for row, level in ROUNDS.items():
        if averages or row == "feddf":
            values = [level + SPLIT[seed] + APART * (client - 1) for client in range(3)]
            rows[row] = {"accuracy": values, "losses": [], "images": 0}
    return {"settings": {"multi_round": {"rounds": 20}}, "rows": rows, "rounds": 20}


def _classifiers(models: list[str], statistics: str = "recalibrated") -> dict[str, Any]:
    names = [f"client{client}" for client in range(3)]
    return {
        "settings": {"clients": TRAINING | {"models": models, "statistics": statistics}},
        "losses": {name: [2.0, 0.5] for name in names},
        "own_test": [0.7, 0.8, 0.9],
        "images": [100, 110, 120],
        "parameters": [100_000, 125_000, 150_000],
        "flops": [1_000_000] * 3,
        "bytes": {name: 400_000 + 100_000 * int(name[-1]) for name in names},
    }


def _guided(name: str, seed: int) -> dict[str, Any]:
    drawn = {
        "base": {"source": "models/foundation", "precision": "fp32", "resolution": 32},
        "sampler": {"steps": STEPS, "guidance": 3.0, "batch": 30},
        "per_class": 2,
        "total_per_class": None,
        "guidance": GUIDANCE | CHANGES[name],
    }
    gradients = 0 if name == "prompts" else drawn["guidance"]["editing_steps"] + STEPS
    return {
        "settings": {"drawn": drawn, "upload_noise": 0.0},
        "images": 24,
        "seconds_per_image": 0.1 if name == "prompts" else 0.5,
        "cross_entropy": [3.0 - 0.5 * step + 0.1 * seed for step in range(gradients)],
        "batch_norm": [10.0 - step for step in range(gradients)],
        "skipped": {"0": 1, "1": 0, "2": 0} if gradients else {},
        "gradients": {str(client): 8 * gradients for client in range(3)} if gradients else {},
        "notes": [],
    }


def _rival(size: float) -> dict[str, Any]:
    counted = {
        "client_flops": dict.fromkeys("012", 2_000_000),
        "download_parameters": dict.fromkeys("012", 500_000),
    }
    return (counted if size < 1 else {}) | {
        "settings": {},
        "images": 24,
        "seconds_per_image": 0.2,
        "upload_bytes": {str(client): 1000 * size * (client + 1) for client in range(3)},
        "client_seconds": {str(client): 1.0 + client for client in range(3)},
    }


def _server(name: str, seed: int, sizes: bool) -> dict[str, Any]:
    rows = {}
    for row, level in ACCURACY.items():
        if "@" in row and not (sizes and name == "main"):
            continue
        if (row in RIVALS or row.startswith("unseen")) and not sizes:
            continue
        if name != "main" and row not in ("fedlmg_ft", "fedlmg_sd"):
            continue
        way = row.startswith("fedlmg")
        count = 12 if "@" in row else 24
        level = level + SPLIT[seed] - LOST.get(name, 0.0) + JITTER[seed] * (way and name == "main")
        values = [level + APART * (client - 1) for client in range(3)]
        rows[row] = {"accuracy": values, "losses": [1.0, 0.5], "images": count}
    near = []
    if name == "main":
        sets = (
            ("guided", 1.0),
            ("prompts", 2.0),
            ("held_out", 0.5),
            ("half", 0.5),
            ("others", 3.0),
        )
        near = [
            {
                f"{kind}_{measure}": value * scale
                for kind, value in sets
                for measure, scale in (
                    ("distance", 1.0 + client),
                    ("nearest", 0.1),
                    ("copied", 0.1),
                    ("frechet", 10.0),
                )
            }
            for client in range(3)
        ]
    server = TRAINING | {"model": "bn_cnn", "trains": "whole"}
    server |= {"statistics": "running"} if name == "running" else {}
    return {
        "settings": {"server": server, "asked": ASKED},
        "name": name,
        "rows": rows,
        "likeness": near,
    }


def entries(
    jobs: list[tuple[Address, dict[str, Any]]], dataset: str = "EmojiDomains"
) -> dict[str, dict[str, Any]]:
    """What a context says of the experiments of these jobs."""
    schemes = {name: scheme for name, (_, scheme, _, _) in MADE.items()}
    domains = {name: NAMES if schemes[name]["scheme"] == "domain" else None for name in MADE}
    said = setups(jobs, schemes, domains)
    return {
        name: synthetic_warmfed.EXPERIMENTS["emoji_domains"]
        | {"title": MADE[name][0], "role": "oneshot", "base": name, "warmfed": False}
        | {"dataset": dataset, "classes": len(CLASSES), "rounds": 1}
        | {"fedlmg": said[name] | {"classes": CLASSES}}
        for name in MADE
    }


def results(folder: Path, seeds: int = 3, dataset: str = "EmojiDomains", **changes: Any) -> Results:
    """WarmFed's made-up runs, and FedLMG's jobs beside them."""
    jobs = write_jobs(folder, seeds)
    inputs = {
        "experiments": synthetic_warmfed.EXPERIMENTS | entries(jobs, dataset),
        "fedlmg": frames(jobs)["fedlmg"],
        "absent": synthetic_warmfed.ABSENT | ABSENT,
    }
    return synthetic_warmfed.results(seeds, **inputs | changes)


def pictures(folder: Path) -> list[Picture]:
    """Images of one colour each: red by client, green by class, blue by guidance.

    Those of full guidance stand before what their noise promised, which is bluer by ten and twenty.
    """
    drawn = []
    for number, name in enumerate(SHOWN):
        style, labels = (part.ravel() for part in np.meshgrid(range(3), range(4), indexing="ij"))
        strips = []
        for blue in (0, 10, 20)[: 3 if name == "main" else 1]:
            colours = [60 * style, 60 * labels, np.full_like(style, 30 * number + blue)]
            strips.append(np.tile(np.stack(colours, axis=1)[:, None, None, :], (1, 8, 8, 1)))
        path = folder / f"{name}.safetensors"
        save_images(path, np.stack(strips, 1).astype(np.uint8), labels, style, {})
        drawn.append(Picture(EMOJI, 0, name, str(path), None))
    return drawn
