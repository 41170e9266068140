"""The baselines that train in rounds: FedAvg, FedProx, FedDyn and FedDF (sheet §1.0)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from fedgenbench.data.answers import answers
from fedgenbench.federated.run import federate
from fedgenbench.systems.fedlmg.clients import tensors
from fedgenbench.systems.fedlmg.feddf import FedDF, feddf
from fedgenbench.systems.fedlmg.public import read_public
from fedgenbench.systems.fedlmg.settings import Clients, MultiRound
from fedgenbench.systems.fedlmg.training import scored
from fedgenbench.systems.fedlmg.uploads import untrained
from fedgenbench.systems.job import Context


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Says how accurate each method's global model is after its last round, on every client's test
    images; a killed job goes on from the last round that it kept."""
    settings, partition = context.settings, context.partition
    rounds = settings["multi_round"]["rounds"]
    methods = [*settings["methods"], "feddf"]
    tell = context.progress(rounds * len(methods))
    rows: dict[str, Any] = {}
    for method in settings["methods"]:
        rows[method] = _played(context, method, lambda done, note: tell(done, note))
    taught = _taught(context, lambda done, note: tell(rounds * (len(methods) - 1) + done, note))
    rows["feddf"] = taught | {"losses": [], "images": settings["multi_round"]["public_images"]}
    means = {row: np.mean(each["accuracy"]) for row, each in rows.items()}
    line = ", ".join(f"{row} {100 * value:.1f}" for row, value in means.items())
    said = answers({"feddf": taught.pop("answers")}, partition)
    del rows["feddf"]["answers"]
    return {"rows": rows, "rounds": rounds} | said, line


def _played(context: Context, method: str, tell: Any) -> dict[str, Any]:
    """A method of the field in as many rounds, on one shot's clients and from the same weights."""
    settings, multi = context.settings, context.settings["multi_round"]
    clients = settings["clients"]
    (model,) = set(clients["models"])
    chosen = {
        "method": method,
        "method_settings": settings["methods"][method],
        "seed": context.seed,
        "mean": settings["mean"],
        "std": settings["std"],
        "augment": False,
        "score_rounds": 1,
        "on_bad_upload": "stop",
        "model": model,
        "rounds": multi["rounds"],
        "participation": 1.0,
        "local": {k: v for k, v in clients.items() if k != "models"} | {"epochs": multi["epochs"]},
        "engine": "sequential",
        "evaluate_every": multi["rounds"],
        "score_on": "test",
    }
    warm = None
    if settings["imagenet"]:
        shape = _shape(context)
        start = untrained(model, shape, len(context.classes), context.seed, settings["imagenet"])
        warm = dict(start.state_dict())
    metrics = federate(
        chosen,
        context.dataset,
        context.partition,
        context.device,
        warm=warm,
        checkpoint=context.checkpoint.below(method),
        progress=tell,
    )
    return {"accuracy": metrics["score"]["global"], "losses": [], "images": 0}


def _taught(context: Context, tell: Any) -> dict[str, Any]:
    """FedDF, whatever the clients' architectures."""
    settings, dataset, device = context.settings, context.dataset, context.device
    multi = MultiRound.model_validate(settings["multi_round"])
    clients = Clients.model_validate(settings["clients"])
    x, y = tensors(dataset.train_images, dataset.train_labels, settings, device)
    images = read_public(multi.public, multi.public_images, dataset.train_images.shape[1:])
    public, _ = tensors(images, np.zeros(len(images), np.int64), settings, device)
    rows = [torch.from_numpy(held.train).to(device) for held in context.partition.clients]
    names = [clients.models[client % len(clients.models)] for client in range(len(rows))]

    def start(name: str) -> nn.Module:
        arguments = _shape(context), dataset.n_classes, context.seed, settings["imagenet"]
        return untrained(name, *arguments).to(device)

    plan = FedDF(
        clients.model_copy(update={"epochs": multi.epochs}),
        clients.model_copy(update={"epochs": multi.distillation_epochs}),
        multi.rounds,
        start,
        names,
        settings["server"],
        context.seed,
    )
    held = [(x[own], y[own]) for own in rows]
    model = feddf(plan, held, public, checkpoint=context.checkpoint.below("feddf"), tell=tell)
    tests = [torch.from_numpy(held.test).to(device) for held in context.partition.clients]
    x_test, y_test = tensors(dataset.test_images, dataset.test_labels, settings, device)
    return scored(model, x_test, y_test, tests)


def _shape(context: Context) -> tuple[int, int, int]:
    height, width, channels = context.dataset.train_images.shape[1:]
    return channels, height, width
