"""One training loop for every part: named random streams, moving average, checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import atomic_path
from fedgenbench.core.streams import torch_seed
from fedgenbench.systems.foundation.settings import Training

WARM_UP = 100  # steps
CLIP = 1.0  # norm of the gradient


def train(
    network: nn.Module,
    loss: Callable[[torch.Generator], Tensor],
    validation: Callable[[], float],
    settings: Training,
    *,
    stream: tuple[int, str],
    checkpoint: Path,
    identity: str,
    tell: Callable[[int, str], None],
) -> list[dict[str, Any]]:
    """Trains ``network`` in place and leaves it with the moving average of its weights.

    ``loss`` gets the generator of its step, which depends on ``stream`` (root seed, name) and the
    step's number alone: a run that resumes from ``checkpoint`` draws what an unbroken one does.
    ``validation`` is asked with the averaged weights in place. ``identity`` names everything that
    decides the result. Returns the history: step, mean training loss since the last entry, and
    validation loss.

    Raises:
        UserError: the checkpoint belongs to another ``identity``, or the loss is not finite.
    """
    from diffusers.training_utils import EMAModel

    parameters = list(network.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=1e-2, fused=True)
    average = EMAModel(parameters, decay=settings.ema, foreach=True)
    history: list[dict[str, Any]] = []
    done = 0
    if checkpoint.exists():
        done, history = _load(checkpoint, identity, network, optimiser, average)
    since = []
    for step in range(done, settings.steps):
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
                    f"{identity}: the loss is not finite after {step + 1} steps; lower the rate "
                    f"(lr) of its training in params.yaml and delete {checkpoint}"
                )
            average.store(parameters)
            average.copy_to(parameters)
            network.eval()
            with torch.no_grad():
                history.append({"step": step + 1, "train": mean, "validation": validation()})
            average.restore(parameters)
            _save(checkpoint, identity, network, optimiser, average, history)
            since = []
    average.copy_to(parameters)
    network.eval()
    return history


def recorded_history(checkpoint: Path) -> list[dict[str, Any]]:
    """The history in a checkpoint: step, mean training loss and validation loss of each entry."""
    from safetensors import safe_open

    with safe_open(checkpoint, "pt") as file:
        return json.loads(file.metadata()["history"])


def _save(
    path: Path,
    identity: str,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: Any,
    history: list[dict[str, Any]],
) -> None:
    from safetensors.torch import save_file

    tensors = {f"network/{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"average/{row}": tensor for row, tensor in enumerate(average.shadow_params)}
    tensors |= {
        f"adam/{row}/{name}": tensor
        for row, moments in optimiser.state_dict()["state"].items()
        for name, tensor in moments.items()
    }
    metadata = {"identity": identity, "history": json.dumps(history)}
    with atomic_path(path) as temporary:
        save_file({name: t.contiguous() for name, t in tensors.items()}, temporary, metadata)


def _load(
    path: Path, identity: str, network: nn.Module, optimiser: torch.optim.Optimizer, average: Any
) -> tuple[int, list[dict[str, Any]]]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        if metadata["identity"] != identity:
            raise UserError(
                f"{path} is the checkpoint of {metadata['identity']}, not of {identity}: delete it"
            )
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "adam": {}}
    for key, tensor in tensors.items():
        part, name = key.split("/", 1)
        parts[part][name] = tensor
    network.load_state_dict(parts["network"])
    for row, shadow in enumerate(average.shadow_params):
        shadow.copy_(parts["average"][str(row)])
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in parts["adam"].items():
        row, name = key.split("/")
        moments.setdefault(int(row), {})[name] = tensor
    optimiser.load_state_dict(optimiser.state_dict() | {"state": moments})
    history = json.loads(metadata["history"])
    average.optimization_step = history[-1]["step"]
    return history[-1]["step"], history
