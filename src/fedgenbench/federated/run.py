"""One run of the grid: from a partition to its metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import torch_seed
from fedgenbench.data.answers import answers, scored_images
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import Partition
from fedgenbench.federated.aggregation import Aggregation
from fedgenbench.federated.data import FederatedData, normalised
from fedgenbench.federated.method import method_class
from fedgenbench.federated.privacy import Local, epsilon
from fedgenbench.federated.reception import Poisoned, Reception
from fedgenbench.federated.rounds import Federation
from fedgenbench.federated.synthetic import Synthetic, subset
from fedgenbench.federated.task import Task
from fedgenbench.federated.types import SGD, State
from fedgenbench.models import build


def federated_data(
    dataset: Dataset,
    partition: Partition,
    mean: list,
    std: list,
    augment: bool,
    device: str,
    score_on: str = "test",
    synthetic: Synthetic | None = None,
) -> FederatedData:
    """Only the rows that some client holds, and ``synthetic`` images after them, on ``device``.

    With ``score_on`` "valid" the validation rows stand in the place of the test rows, which are not
    even loaded.
    """
    train = np.unique(np.concatenate([client.train for client in partition.clients]))
    kept = scored_images(partition, score_on)
    if poor := [number for number, rows in enumerate(kept) if not len(rows)]:
        way = "raise partition.valid_fraction" if score_on == "valid" else "change its partition"
        raise UserError(f"client {poor[0]} has no {score_on} image to be scored on: {way}")
    test = np.unique(np.concatenate(kept))
    part = "train" if score_on == "valid" else "test"
    held_out = getattr(dataset, f"{part}_images"), getattr(dataset, f"{part}_labels")
    parts = [(dataset.train_images[train], dataset.train_labels[train])]
    parts += [(held_out[0][test], held_out[1][test])]
    parts += [(synthetic.images, synthetic.labels)] if synthetic else []
    images, labels = map(np.concatenate, zip(*parts, strict=True))
    x, black = normalised(images, mean, std, device)

    def rows(held: np.ndarray, own: np.ndarray, offset: int) -> torch.Tensor:
        return torch.from_numpy(np.searchsorted(held, own) + offset).to(device)

    return FederatedData(
        x=x,
        y=torch.from_numpy(labels).to(device),
        train=[rows(train, client.train, 0) for client in partition.clients],
        test=[rows(test, own, len(train)) for own in kept],
        black=black if augment else None,
        synthetic=torch.arange(len(train) + len(test), len(x)).to(device) if synthetic else None,
    )


def left_out(partition: Partition, client: int) -> Partition:
    """The partition without a client, on whose test images all others are scored."""
    unseen = partition.clients[client].test
    others = [own for number, own in enumerate(partition.clients) if number != client]
    return replace(partition, clients=tuple(replace(own, test=unseen) for own in others))


def federation(
    settings: dict[str, Any],
    data: FederatedData,
    classes: int,
    *,
    checkpoint: Checkpoint | None = None,
    warm: State | None = None,
) -> Federation:
    """The run that the settings of a job of kind "federate" describe, on its data.

    Initial weights depend on the seed and the model alone: all methods of a repetition share them.
    ``warm`` takes their place.
    """
    seed = settings["seed"]
    module = build(
        settings["model"], data.shape, classes, torch_seed(seed, "weights", settings["model"])
    )
    local = Local.model_validate(settings["local"])
    sgd = SGD(local.lr, local.momentum, local.weight_decay)
    task = Task(module, classes, sgd, local.statistics, local.privacy)
    cls = method_class(settings["method"])
    chosen = cls.Settings.model_validate(settings["method_settings"])
    return Federation(
        cls(task, local.epochs, chosen, _aggregation(settings)),
        data,
        seed=seed,
        rounds=settings["rounds"],
        batch_size=local.batch_size,
        participation=settings["participation"],
        engine=settings["engine"],
        evaluate_every=settings["evaluate_every"],
        reception=_reception(settings, len(data.train)),
        checkpoint=checkpoint,
        warm=warm,
    )


def spent(settings: dict[str, Any], run: Federation) -> dict[str, Any]:
    """What each client's uploads of the whole run have spent, if it trained privately: ε at δ."""
    local = Local.model_validate(settings["local"])
    if (privacy := local.privacy) is None:
        return {}
    sizes = [len(rows) for rows in run.data.train]
    played = Counter(
        client for round_ in range(1, run.rounds + 1) for client in run.participants(round_)
    )
    spending = cache(epsilon)
    return {
        "epsilon": [
            spending(
                privacy,
                min(1.0, local.batch_size / size),
                played[client] * local.epochs * -(-size // local.batch_size),
            )
            for client, size in enumerate(sizes)
        ],
        "delta": privacy.delta,
    }


def _aggregation(settings: dict[str, Any]) -> Aggregation | None:
    rule: TypeAdapter[Aggregation | None] = TypeAdapter(Aggregation | None)
    return rule.validate_python(settings.get("aggregation"))


def _reception(settings: dict[str, Any], clients: int) -> Reception:
    refused = settings["on_bad_upload"], settings["upload_rms"]
    if not (values := settings.get("poisoned")):
        return Reception(*refused)
    poisoned = Poisoned.model_validate(values)
    return Reception(*refused, poisoned.clients(clients, settings["seed"]), poisoned.factor)


def score(history: list[dict[str, Any]], last: int) -> dict[str, list[float]]:
    """Mean of the last evaluations per metric and client, accuracies in [0, 1]."""
    evaluated = [entry for entry in history if "personal" in entry][-last:]
    return {
        metric: np.mean([entry[metric] for entry in evaluated], axis=0).tolist()
        for metric in ("personal", "start", "trained", "adapted", "global")
        if metric in evaluated[-1]
    }


def data_of(
    settings: dict[str, Any],
    dataset: Dataset,
    partition: Partition,
    device: str,
    synthetic: Synthetic | None = None,
) -> FederatedData:
    """The clients' data as a run of ``settings`` sees them, with the server's images if it has any.

    Raises:
        UserError: the partition is of another state of the data set.
    """
    partition.require(dataset)
    return federated_data(
        dataset,
        partition,
        settings["mean"],
        settings["std"],
        settings["augment"],
        device,
        settings["score_on"],
        synthetic,
    )


def federate(
    settings: dict[str, Any],
    dataset: Dataset,
    partition: Partition,
    device: str,
    *,
    synthetic: Synthetic | None = None,
    warm: State | None = None,
    adapter_bytes: float = 0.0,
    checkpoint: Checkpoint | None,
    progress: Any,
) -> dict[str, Any]:
    """Plays the run and returns its metrics, a pure function of the arguments before ``checkpoint``.

    ``adapter_bytes`` is what a client sent, on average, for the synthetic images.
    """
    if (without := settings.get("without")) is not None:
        partition = left_out(partition, without)
    if synthetic:
        synthetic = subset(synthetic, settings["subset"], settings["seed"])
    data = data_of(settings, dataset, partition, device, synthetic)
    run = federation(
        settings,
        data,
        dataset.n_classes,
        checkpoint=checkpoint,
        warm=warm,
    )

    def tell(round_: int, entry: dict[str, Any]) -> None:
        accuracy = f"{100 * np.mean(entry['personal']):.1f} %" if "personal" in entry else ""
        progress(round_, accuracy)

    history = run.run(tell)
    rounds = [entry for entry in history if entry["round"]]
    handed_out = synthetic.images.nbytes if synthetic and run.method.hands_out_images() else 0
    return {
        "rounds": history,
        "score": score(history, settings["score_rounds"]),
        "bytes_up": float(np.mean([entry["bytes_up"] for entry in rounds])),
        "bytes_down": float(np.mean([entry["bytes_down"] for entry in rounds])),
        "bytes_up_once": float(adapter_bytes),
        "bytes_down_once": float(handed_out),
        **spent(settings, run),
        **answers(run.answers, partition, settings["score_on"]),
    }
