"""Training of the clients' classifiers (FedLMG sheet §3 step 1, §4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fedgenbench.core.answers import packed, shares
from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.data.answers import answers
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import Partition
from fedgenbench.federated.data import normalised
from fedgenbench.systems.fedlmg.costs import flops, parameters
from fedgenbench.systems.fedlmg.settings import Clients
from fedgenbench.systems.fedlmg.training import fine_tuning, right_answers, train
from fedgenbench.systems.fedlmg.uploads import save, untrained
from fedgenbench.systems.job import Context


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Writes the clients' uploads; says how their losses went and how accurate they are."""
    models, facts, report = train_clients(
        context.settings,
        context.dataset,
        context.partition,
        context.device,
        checkpoint=context.checkpoint,
        tell=context.progress(len(context.partition.clients)),
    )
    sizes = save(context.outputs["models"], models, facts)
    own = report["own_test"]
    line = f"{100 * sum(own) / len(own):.1f} % on their own test images"
    return {"bytes": sizes} | report, line


def train_clients(
    settings: dict[str, Any],
    dataset: Dataset,
    partition: Partition,
    device: Any,
    *,
    checkpoint: Checkpoint,
    tell: Callable[[int, str], None],
) -> tuple[dict[str, nn.Module], dict[str, dict[str, Any]], dict[str, Any]]:
    """Models by name, what the server is told of each, and the report.

    ``client<k>`` is trained with cross-entropy. A finished model stays in ``checkpoint`` until all are
    there, so that a killed job trains at most one again. The report has, by client, the mean loss per
    epoch, the accuracy on its own test images, the number of its training images, its model's
    parameters, and the floating-point operations of one image's forward pass.

    Raises:
        UserError: a client has no training image, or its loss is not finite; a model in
            ``checkpoint`` is of another identity.
    """
    chosen = Clients.model_validate(settings["clients"])
    x, y = tensors(dataset.train_images, dataset.train_labels, settings, device)
    x_test, y_test = tensors(dataset.test_images, dataset.test_labels, settings, device)
    models, facts = {}, {}
    right: list[Tensor] = []
    report: dict[str, Any] = {"losses": {}, "images": [], "parameters": [], "flops": []}
    for client, held in enumerate(partition.clients):
        rows = torch.from_numpy(held.train).to(device)
        if not len(rows):
            raise UserError(f"client {client} has no training image: leave it out of the partition")
        architecture = chosen.models[client % len(chosen.models)]
        name = f"client{client}"
        start = (tuple(x.shape[1:]), dataset.n_classes, settings["seed"])
        model = untrained(architecture, *start, settings["imagenet"]).to(device)
        if kept := checkpoint.tensors(name):
            model.load_state_dict(kept[0])
            losses = kept[1]["losses"]
        else:
            address = (settings["seed"], "fedlmg", "client", client)
            losses = train(
                chosen,
                model,
                x[rows],
                y[rows],
                fine_tuning,
                address=address,
                who=f"client {client}",
            )
            checkpoint.put(name, model.state_dict(), {"losses": losses})
        models[name], report["losses"][name] = model.eval(), losses
        facts[name] = {"client": client, "model": architecture, "shape": list(x.shape[1:])}
        facts[name] |= {"classes": sorted(set(y[rows].tolist()))}
        facts[name] |= {key: settings[key] for key in ("mean", "std")}
        tell(len(models), f"loss {losses[-1]:.3f}")
        tested = torch.from_numpy(held.test).to(device)
        right += right_answers(model, x_test, y_test, [tested])
        report["images"].append(len(rows))
        _count(report, model, x[rows[:1]])
    said = answers({"client": packed(right)}, partition)
    return models, facts, report | {"own_test": shares(right)} | said


def _count(report: dict[str, Any], model: nn.Module, image: Tensor) -> None:
    """Adds the model's parameters and the operations of its pass of one image [1, C, H, W]."""
    report["parameters"].append(parameters(model))
    with torch.no_grad():
        report["flops"].append(flops(partial(model, image)))


def tensors(
    images: Any, labels: Any, settings: dict[str, Any], device: Any
) -> tuple[Tensor, Tensor]:
    """Normalised images [n, C, H, W] float32 and labels [n] on ``device``: the set is loaded once."""
    x, _ = normalised(images, settings["mean"], settings["std"], device)
    return x.movedim(-1, -3), torch.from_numpy(labels).to(device)
