"""Clients' classifiers, and the server's model: fine-tuning and distillation (FedLMG sheet §3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedgenbench.core.answers import packed, shares
from fedgenbench.core.errors import UserError
from fedgenbench.core.settings import SGDSettings
from fedgenbench.core.streams import stream, torch_seed
from fedgenbench.models.layers import needs_two_images, require_two_images
from fedgenbench.models.statistics import recalibrate

# What gives logits [B, classes] and features [B, F] of a batch: a model, or a part of it.
Network = Callable[[Tensor], tuple[Tensor, Tensor]]
# Its loss on what it takes, with labels [B] and rows [B] in the set.
Loss = Callable[[Network, Tensor, Tensor, Tensor], Tensor]
EVALUATION_BATCH = 100  # as the federated engine: what a CPU core's cache holds


def fine_tuning(model: Network, x: Tensor, y: Tensor, rows: Tensor) -> Tensor:
    """Cross-entropy with the labels (FT, step 10)."""
    return F.cross_entropy(model(x)[0], y)


def distilled(teachers: Tensor, labelled: bool = True) -> Loss:
    """−Σ p̄ log g + CE at temperature 1, both of weight 1 (MD and SD, step 10).

    ``teachers`` [n, classes] are the probabilities p̄ of every image of the set: their mean over all
    clients (MD), or those of the client that guided the image (SD). Without ``labelled`` the
    cross-entropy with labels is left out (FedDF).
    """

    def loss(model: Network, x: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        logits = model(x)[0]
        divergence = F.cross_entropy(logits, teachers[rows])
        return divergence + F.cross_entropy(logits, y) if labelled else divergence

    return loss


def train(
    settings: SGDSettings,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    loss: Loss,
    *,
    address: tuple[Any, ...],
    who: str,
    head_alone: bool = False,
) -> list[float]:
    """Trains ``model`` in place on images ``x`` [n, C, H, W], labels ``y`` [n]; the mean loss per epoch.

    ``address`` names the stream of the batches' order; the last batch may be short. At the end batch
    norm's statistics are those of the weights over ``x``, unless ``settings`` ask for running ones.
    With ``head_alone`` everything but the layer ``head`` stays, these included: the released code lets
    them drift, which is no choice that the paper names. Its features, too, are computed once.

    Raises:
        UserError: the loss is not finite; ``who`` is named.
    """
    seed, *names = address
    head: Any = model.head
    trained = list((head if head_alone else model).parameters())
    optimiser = torch.optim.SGD(
        trained,
        lr=settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    model.train(not head_alone).requires_grad_(not head_alone)
    head.requires_grad_(True)
    network: Network = model
    if head_alone:
        x = features(model, x)
        network = lambda seen: (head(seen), seen)  # noqa: E731
    elif needs_two_images(model, tuple(x.shape[1:])):
        require_two_images(who, f"batch_size of {who}", len(x), settings.batch_size)
    history = []
    for epoch in range(settings.epochs):
        # Dropout, which some architectures have, draws from torch's default generator.
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            torch.random.manual_seed(torch_seed(seed, *names, epoch, "dropout"))
            order = torch.from_numpy(stream(seed, *names, epoch).permutation(len(x))).to(x.device)
            total = 0.0
            for rows in order.split(settings.batch_size):
                if len(rows) == 1 < min(len(x), settings.batch_size):
                    continue  # batch norm needs two values
                optimiser.zero_grad()
                value = loss(network, x[rows], y[rows], rows)
                value.backward()
                optimiser.step()
                total += value.item() * len(rows)
        history.append(total / len(x))
        if not np.isfinite(history[-1]):
            raise UserError(f"{who}: the loss is not finite in epoch {epoch + 1}; lower its rate")
    if not head_alone and settings.statistics == "recalibrated":
        recalibrate(model, x.__getitem__, len(x))
    model.eval().requires_grad_(True)
    return history


@torch.no_grad()
def features(model: nn.Module, x: Tensor) -> Tensor:
    """What the layer ``head`` sees [n, F] of images [n, C, H, W], of a model in eval mode."""
    return torch.cat([model(part)[1] for part in x.split(EVALUATION_BATCH)])


@torch.no_grad()
def probabilities(models: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Softmax outputs [len(models), n, classes] of models in eval mode."""
    return torch.stack(
        [
            torch.cat([model(part)[0].softmax(1) for part in x.split(EVALUATION_BATCH)])
            for model in models
        ]
    )


def of_specific_teacher(outputs: Tensor, style: Tensor) -> Tensor:
    """Row n of teacher ``style[n]``: [n, classes] from outputs [teachers, n, classes]."""
    return outputs[style, torch.arange(len(style), device=outputs.device)]


def mean_of(models: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Uniform mean of all entries, batch-norm statistics included, in float64 and in this order."""
    states = [model.state_dict() for model in models]
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(first.dtype)
        for name, first in states[0].items()
    }


@torch.no_grad()
def right_answers(model: nn.Module, x: Tensor, y: Tensor, tests: Sequence[Tensor]) -> list[Tensor]:
    """Which images of each of the sets of rows ``tests`` the model gets right, bool [n]."""
    right = torch.cat([model(part)[0].argmax(1) for part in x.split(EVALUATION_BATCH)]) == y
    return [right[rows].cpu() for rows in tests]


def scored(model: nn.Module, x: Tensor, y: Tensor, tests: Sequence[Tensor]) -> dict[str, Any]:
    """Accuracy on each of the sets of rows ``tests``, and the answers that it is the mean of, packed."""
    right = right_answers(model, x, y, tests)
    return {"accuracy": shares(right), "answers": packed(right)}
