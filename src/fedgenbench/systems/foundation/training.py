"""One training loop for every part: named random streams, moving average, checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fedgenbench.core.checkpoint import Checkpoint, moments, restore_moments
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import torch_seed
from fedgenbench.systems.foundation.settings import Training

WARM_UP = 100  # steps
PART = "training"  # of the checkpoint
CLIP = 1.0  # norm of the gradient


def train(
    network: nn.Module,
    loss: Callable[[torch.Generator], Tensor],
    validation: Callable[[], float],
    settings: Training,
    *,
    stream: tuple[int, str],
    checkpoint: Checkpoint,
    tell: Callable[[int, str], None],
) -> list[dict[str, Any]]:
    """Trains ``network`` in place and leaves it with the moving average of its weights.

    ``loss`` gets the generator of its step, which depends on ``stream`` (root seed, name) and the
    step's number alone: a run that resumes from ``checkpoint`` draws what an unbroken one does.
    ``validation`` is asked with the averaged weights in place. Returns the history: step, mean
    training loss since the last entry, and validation loss.

    Raises:
        UserError: the checkpoint belongs to another identity, or the loss is not finite.
    """
    from diffusers.training_utils import EMAModel

    parameters = list(network.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=1e-2, fused=True)
    average = EMAModel(parameters, decay=settings.ema, foreach=True)
    history = _load(checkpoint, network, optimiser, average)
    since: list[float] = []
    for step in range(history[-1]["step"] if history else 0, settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.lr * min(1, (step + 1) / WARM_UP)
        generator = torch.Generator().manual_seed(torch_seed(*stream, step))
        network.train()
        value = loss(generator)
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimiser.step()
        average.step(parameters)
        since.append(value.item())
        tell(step + 1, f"loss {since[-1]:.4f}")
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            mean = sum(since) / len(since)
            if not mean < float("inf"):
                raise UserError(
                    f"{checkpoint.identity}: the loss is not finite after {step + 1} steps; lower the "
                    f"rate (lr) of its training in params.yaml and delete {checkpoint.folder}"
                )
            average.store(parameters)
            average.copy_to(parameters)
            network.eval()
            with torch.no_grad():
                history.append({"step": step + 1, "train": mean, "validation": validation()})
            average.restore(parameters)
            _save(checkpoint, network, optimiser, average, history)
            since = []
    average.copy_to(parameters)
    network.eval()
    return history


def take_average(network: nn.Module, checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """Gives ``network`` the moving average that a training has kept so far; returns the history.

    Raises:
        UserError: nothing is kept there, or it belongs to another identity.
    """
    if (part := checkpoint.tensors(PART)) is None:
        raise UserError(f"{checkpoint.folder} has no training of {checkpoint.identity} to take")
    tensors, facts = part
    with torch.no_grad():
        for row, parameter in enumerate(network.parameters()):
            parameter.copy_(tensors[f"average/{row}"])
    network.eval()
    return facts["history"]


def _save(
    checkpoint: Checkpoint,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: Any,
    history: list[dict[str, Any]],
) -> None:
    tensors = {f"network/{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"average/{row}": tensor for row, tensor in enumerate(average.shadow_params)}
    checkpoint.put(PART, tensors | moments(optimiser), {"history": history})


def _load(
    checkpoint: Checkpoint, network: nn.Module, optimiser: torch.optim.Optimizer, average: Any
) -> list[dict[str, Any]]:
    """The history, with everything as it was when it was kept; empty where nothing was."""
    if (part := checkpoint.tensors(PART)) is None:
        return []
    tensors, facts = part
    names = [key.removeprefix("network/") for key in tensors if key.startswith("network/")]
    network.load_state_dict({name: tensors[f"network/{name}"] for name in names})
    for row, shadow in enumerate(average.shadow_params):
        shadow.copy_(tensors[f"average/{row}"])
    restore_moments(optimiser, tensors)
    average.optimization_step = facts["history"][-1]["step"]
    return facts["history"]
