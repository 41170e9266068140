"""The server's models, from guided images, and the rows that stand beside them (sheet §3, §6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fedgenbench.data.answers import answers
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import Partition
from fedgenbench.federated.synthetic import Synthetic, read
from fedgenbench.images.uploads import Upload
from fedgenbench.systems.fedlmg.clients import tensors
from fedgenbench.systems.fedlmg.generation import first_of_each
from fedgenbench.systems.fedlmg.settings import Server
from fedgenbench.systems.fedlmg.similarity import likeness
from fedgenbench.systems.fedlmg.training import (
    Loss,
    averaged,
    distilled,
    features,
    fine_tuning,
    of_specific_teacher,
    probabilities,
    scored,
    train,
)
from fedgenbench.systems.fedlmg.uploads import load, untrained
from fedgenbench.systems.job import Context

CEILINGS = ("ceiling", "ceiling_head")
WAYS = ("fedlmg_ft", "fedlmg_md", "fedlmg_sd")


def planned(
    sizes: Sequence[int], baselines: bool, averages: bool, rivals: Iterable[str]
) -> list[str]:
    """The rows that ``serve`` gives, in order."""
    rows = [*WAYS, *(f"{way}@{size}" for size in sizes for way in WAYS)]
    if baselines:
        rows += ["prompts", *(f"prompts@{size}" for size in sizes), "feddf", *rivals]
        rows += [*CEILINGS, *(("fedavg", "fedprox") if averages else ())]
    return rows


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Says how accurate each of the server's models is on every client's test images."""
    settings, dataset, inputs = context.settings, context.dataset, context.inputs
    prompts, rivals = inputs["prompts"], settings["rivals"]
    (models,) = inputs["models"]
    planned_rows = planned(settings["sizes"], bool(prompts), settings["averages"], rivals)
    rows, near = serve(
        settings,
        dataset,
        context.partition,
        load(models, dataset.n_classes),
        read(inputs["images"], dataset),
        read(prompts, dataset) if prompts else None,
        {name: read([path], dataset) for name, path in zip(rivals, inputs["rivals"], strict=True)},
        context.device,
        tell=context.progress(len(planned_rows)),
    )
    means = {row: sum(each["accuracy"]) / len(each["accuracy"]) for row, each in rows.items()}
    line = ", ".join(f"{row} {100 * value:.1f}" for row, value in means.items())
    said = answers({row: each.pop("answers") for row, each in rows.items()}, context.partition)
    return {"name": context.name, "rows": rows, "likeness": near} | said, line


def serve(
    settings: dict[str, Any],
    dataset: Dataset,
    partition: Partition,
    uploads: dict[str, Upload],
    guided: Synthetic,
    prompts: Synthetic | None,
    rivals: Mapping[str, Synthetic],
    device: Any,
    *,
    tell: Callable[[int, str], None],
) -> tuple[dict[str, dict[str, Any]], list[dict[str, float]]]:
    """By row: accuracy by client, packed answers, mean loss per epoch, number of images.

    All rows start from the same model and take the same settings, those on drawn images also as many
    steps as ``per_class`` images of each client and class take in all epochs: FT, MD and SD on the
    guided images (also on the first ``sizes`` of each client and class), FT and FedDF on
    images of prompts alone (FT also on the first of these), FT on those of each of the ``rivals``, the
    ceiling on all clients' training images (also its head alone, §8), and, where all have one
    architecture, the uniform means of one-shot FedAvg and FedProx, with batch-norm statistics over the
    images of prompts. And what ``likeness`` finds by client in the ceiling's features.
    """
    chosen, seed = Server.model_validate(settings["server"]), settings["seed"]
    x_test, y_test = tensors(dataset.test_images, dataset.test_labels, settings, device)
    tests = [torch.from_numpy(client.test).to(device) for client in partition.clients]
    shape = tuple(x_test.shape[1:])
    clients = [upload.frozen(device).model for _, upload in _of(uploads, "client")]
    whole = settings["per_class"] * len(first_of_each(guided.labels, guided.style, 1))
    rows: dict[str, dict[str, Any]] = {}
    near: list[dict[str, float]] = []

    def fresh() -> nn.Module:
        start = untrained(chosen.model, shape, dataset.n_classes, seed, settings["imagenet"])
        return start.to(device)

    def note(row: str, model: nn.Module, losses: list[float], images: int) -> None:
        rows[row] = scored(model, x_test, y_test, tests) | {"losses": losses, "images": images}
        tell(len(rows), f"{row} {100 * np.mean(rows[row]['accuracy']):.1f} %")

    def fitted(row: str, x: Tensor, y: Tensor, loss: Loss, head: bool | None = None) -> nn.Module:
        model, alone = fresh(), chosen.trains == "head" if head is None else head
        passes = chosen.epochs if row in CEILINGS else round(chosen.epochs * whole / len(x))
        losses = train(
            chosen.model_copy(update={"epochs": passes}),
            model,
            x,
            y,
            loss,
            address=(seed, "fedlmg", "server", len(x)),  # one order for all ways of a set
            who=f"the server ({row})",
            head_alone=alone,
        )
        note(row, model, losses, len(x))
        return model

    x, y = tensors(guided.images, guided.labels, settings, device)
    outputs = probabilities(clients, x)
    specific = of_specific_teacher(outputs, torch.from_numpy(guided.style).to(device))
    mean = outputs.mean(0)
    fitted("fedlmg_ft", x, y, fine_tuning)
    fitted("fedlmg_md", x, y, distilled(mean))
    fitted("fedlmg_sd", x, y, distilled(specific))
    for size in settings["sizes"]:
        first = torch.from_numpy(first_of_each(guided.labels, guided.style, size)).to(device)
        fitted(f"fedlmg_ft@{size}", x[first], y[first], fine_tuning)
        fitted(f"fedlmg_md@{size}", x[first], y[first], distilled(mean[first]))
        fitted(f"fedlmg_sd@{size}", x[first], y[first], distilled(specific[first]))
    if prompts is not None:
        x, y = tensors(prompts.images, prompts.labels, settings, device)
        drawn = x if chosen.statistics == "recalibrated" else None
        fitted("prompts", x, y, fine_tuning)
        for size in settings["sizes"]:
            first = torch.from_numpy(first_of_each(prompts.labels, prompts.style, size)).to(device)
            fitted(f"prompts@{size}", x[first], y[first], fine_tuning)
        fitted("feddf", x, y, distilled(probabilities(clients, x).mean(0), labelled=False))
        for name, own in rivals.items():
            fitted(name, *tensors(own.images, own.labels, settings, device), fine_tuning)
        x, y = tensors(dataset.train_images, dataset.train_labels, settings, device)
        held = torch.from_numpy(np.concatenate([each.train for each in partition.clients]))
        x, y = x[held.to(device)], y[held.to(device)]
        ceiling = fitted("ceiling", x, y, fine_tuning)
        fitted("ceiling_head", x, y, fine_tuning, head=True)
        seen = partial(_features, ceiling, settings, device)
        near = likeness(dataset, partition, guided, prompts, seen)
        if settings["averages"]:
            note("fedavg", averaged(clients, fresh(), drawn), [], 0)
            others = [upload.frozen(device).model for _, upload in _of(uploads, "prox")]
            note("fedprox", averaged(others, fresh(), drawn), [], 0)
    return rows, near


def _features(
    model: nn.Module, settings: dict[str, Any], device: Any, images: np.ndarray
) -> Tensor:
    x, _ = tensors(images, np.zeros(len(images), np.int64), settings, device)
    return features(model, x).cpu()


def _of(uploads: dict[str, Upload], kind: str) -> list[tuple[str, Upload]]:
    """The uploads of one kind, by client."""
    found = [(name, upload) for name, upload in uploads.items() if name.startswith(kind)]
    return sorted(found, key=lambda pair: pair[1].client)
