"""The file in which clients' classifiers go to the server, and how they come out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fedgenbench.core import artifacts
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import torch_seed
from fedgenbench.images.uploads import Upload
from fedgenbench.models import build

KIND = "classifiers"


def untrained(
    name: str, shape: tuple[int, ...], classes: int, seed: int, imagenet: str | None
) -> nn.Module:
    """The architecture ``name`` as every client and the server start it: from the named weights of
    the repetition, or from torchvision's of ImageNet in the folder ``imagenet``.

    Raises:
        UserError: the folder has no file of this architecture, or one that does not fit.
    """
    model = build(name, shape, classes, torch_seed(seed, "weights", name))
    if imagenet is None:
        return model
    from fedgenbench.models.imagenet import imagenet as pretrained

    for suffix in (".safetensors", ".pth"):
        if (path := Path(imagenet) / f"{name}{suffix}").exists():
            pretrained(model, path)
            return model
    raise UserError(
        f"fedlmg.imagenet: {imagenet} holds neither {name}.safetensors nor {name}.pth; put "
        "torchvision's ImageNet weights of this architecture there"
    )


def save(
    path: str | Path, models: dict[str, nn.Module], facts: dict[str, dict[str, Any]]
) -> dict[str, int]:
    """Writes models by name, weights and buffers, with JSON facts of each; the bytes of each."""
    arrays = {
        f"{name}/{key}": tensor.detach().cpu().numpy()
        for name, model in models.items()
        for key, tensor in model.state_dict().items()
    }
    artifacts.save(path, KIND, arrays, facts)
    return {
        name: sum(a.nbytes for key, a in arrays.items() if key.startswith(f"{name}/"))
        for name in models
    }


def load(path: str | Path, outputs: int) -> dict[str, Upload]:
    """The uploads of a file by name, checked.

    Raises:
        UserError: a classifier has other tensors than its architecture or another number of classes
            than ``outputs``; or as ``artifacts.load`` and ``Upload``.
    """
    arrays, facts = artifacts.load(path, KIND)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return {name: _upload(name, known, tensors, outputs) for name, known in facts.items()}


def _upload(name: str, known: dict[str, Any], tensors: dict[str, Tensor], outputs: int) -> Upload:
    state = {
        key.removeprefix(f"{name}/"): tensor
        for key, tensor in tensors.items()
        if key.startswith(f"{name}/")
    }
    client, heads = known["client"], state["head.weight"].shape[0]
    # The architecture as claimed; a head of another size is found below, with the client's name.
    model = build(known["model"], tuple(known["shape"]), heads, 0)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"the upload of client {client} does not fit {known['model']}: {error}; train it again"
        ) from error
    return Upload(
        client=client,
        model=model,
        classes=tuple(known["classes"]),
        outputs=outputs,
        mean=tuple(known["mean"]),
        std=tuple(known["std"]),
        edge=known["shape"][1],
    )


@torch.no_grad()
def noised(upload: Upload, level: float, seed: int) -> Upload:
    """``upload`` with Gaussian noise on every parameter, in place: ``level`` per cent of the deviation of
    the tensor that it is in (Table 7; what its levels are counted in, the paper does not say).

    Batch-norm statistics are left as they are: they are no parameters.
    """
    if level:
        generator = torch.Generator().manual_seed(
            torch_seed(seed, "fedlmg", "noise", upload.client)
        )
        for parameter in upload.model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            size = level / 100 * float(parameter.std(correction=0))
            parameter.add_(noise.to(parameter.device), alpha=size)
    return upload
