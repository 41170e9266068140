"""The baselines that train in rounds: FedAvg, FedProx, FedDyn and FedDF (sheet §1.0)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from fedgenbench.core.uploads import LARGEST_RMS
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
    methods = list(settings["methods"])
    tell = context.progress(rounds * (len(methods) + 1))

    rows = {each: _played(context, each, tell.after(rounds * n)) for n, each in enumerate(methods)}
    rows["feddf"] = _taught(context, tell.after(rounds * len(methods)))
    said = answers({row: each.pop("answers") for row, each in rows.items()}, partition)
    means = {row: np.mean(each["accuracy"]) for row, each in rows.items()}
    line = ", ".join(f"{row} {100 * value:.1f}" for row, value in means.items())
    return {"rows": rows, "rounds": rounds} | said, line


def _played(context: Context, method: str, tell: Callable[[int, str], None]) -> dict[str, Any]:
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
        "upload_rms": LARGEST_RMS,
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
        warm = dict(_untrained(context, model).state_dict())
    metrics = federate(
        chosen,
        context.dataset,
        context.partition,
        context.device,
        warm=warm,
        checkpoint=context.checkpoint.below(method),
        progress=tell,
    )
    right = metrics["answers"]["rows"]["global"]
    return {"accuracy": metrics["score"]["global"], "answers": right, "losses": [], "images": 0}


def _taught(context: Context, tell: Callable[[int, str], None]) -> dict[str, Any]:
    """FedDF, whatever the clients' architectures."""
    settings, dataset, device = context.settings, context.dataset, context.device
    multi = MultiRound.model_validate(settings["multi_round"])
    clients = Clients.model_validate(settings["clients"])
    x, y = tensors(dataset.train_images, dataset.train_labels, settings, device)
    images = read_public(multi.public, multi.public_images, dataset.train_images.shape[1:])
    public, _ = tensors(images, np.zeros(len(images), np.int64), settings, device)
    rows = [torch.from_numpy(held.train).to(device) for held in context.partition.clients]
    names = [clients.models[client % len(clients.models)] for client in range(len(rows))]
    plan = FedDF(
        clients.model_copy(update={"epochs": multi.epochs}),
        clients.model_copy(update={"epochs": multi.distillation_epochs}),
        multi.rounds,
        lambda name: _untrained(context, name).to(device),
        names,
        settings["server"],
        context.seed,
    )
    held = [(x[own], y[own]) for own in rows]
    model = feddf(plan, held, public, checkpoint=context.checkpoint.below("feddf"), tell=tell)
    tests = [torch.from_numpy(held.test).to(device) for held in context.partition.clients]
    x_test, y_test = tensors(dataset.test_images, dataset.test_labels, settings, device)
    said = {"losses": [], "images": multi.public_images}
    return scored(model, x_test, y_test, tests) | said


def _untrained(context: Context, name: str) -> nn.Module:
    """What everybody of an architecture starts from."""
    height, width, channels = context.dataset.train_images.shape[1:]
    shape, classes = (channels, height, width), context.dataset.n_classes
    return untrained(name, shape, classes, context.seed, context.settings["imagenet"])
