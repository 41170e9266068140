"""The file in which clients' classifiers go to the server, and how they come out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from fedgenbench.core import artifacts
from fedgenbench.core.errors import UserError
from fedgenbench.core.settings import Strict, checked
from fedgenbench.core.streams import torch_seed
from fedgenbench.core.uploads import form_fault
from fedgenbench.core.wording import unknown
from fedgenbench.images.uploads import Upload
from fedgenbench.models import build
from fedgenbench.models.limits import SMALLEST
from fedgenbench.models.registry import MODELS

KIND = "classifiers"
LARGEST_EDGE = 1024  # in pixels: a claimed edge decides how large a network is built
Channel = Annotated[float, Field(allow_inf_nan=False)]


class UploadFacts(Strict):
    """What a classifier says of itself in its file; ``shape`` is [C, H, W] of its images."""

    client: int = Field(ge=0)
    model: str
    shape: list[Annotated[int, Field(ge=1, le=LARGEST_EDGE)]] = Field(min_length=3, max_length=3)
    classes: list[Annotated[int, Field(ge=0)]]
    mean: list[Channel]
    std: list[Annotated[Channel, Field(gt=0)]]

    def problem(self, outputs: int) -> str | None:
        """What cannot be true together, or of a data set with so many classes, or None."""
        if self.model not in MODELS:
            return f"its architecture is {unknown(self.model, MODELS)}"
        if not len(self.mean) == len(self.std) == self.shape[0]:
            return "it has another number of means or deviations than of channels"
        if self.shape[0] not in (1, 3) or self.shape[1] != self.shape[2]:
            return f"its images are {self.shape}, expected one or three channels and a square"
        if min(self.shape[1:]) < SMALLEST.get(self.model, 1):
            return f"images of {self.shape[1]} pixels are too small for {self.model}"
        if max(self.classes, default=0) >= outputs:
            return f"it names a class {max(self.classes)} of {outputs}"
        return None


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
        UserError: what a classifier says of itself is impossible; it has other tensors than its
            architecture with ``outputs`` classes; or as ``artifacts.load`` and ``Upload``.
    """
    arrays, facts = artifacts.load(path, KIND)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    uploads = {name: _upload(name, known, tensors, outputs) for name, known in facts.items()}
    clients = [upload.client for upload in uploads.values()]
    if twice := {client for client in clients if clients.count(client) > 1}:
        raise UserError(
            f"{path}: there are several uploads of client {min(twice)}; train them again"
        )
    return uploads


def _upload(name: str, facts: Any, tensors: dict[str, Tensor], outputs: int) -> Upload:
    known = checked(UploadFacts, facts, f"the upload {name}")
    if wrong := known.problem(outputs):
        raise UserError(f"the upload of client {known.client}: {wrong}; train it again")
    state = {
        key.removeprefix(f"{name}/"): tensor
        for key, tensor in tensors.items()
        if key.startswith(f"{name}/")
    }
    whose = f"the upload of client {known.client}"
    model = build(known.model, tuple(known.shape), outputs, 0)
    if fault := form_fault(state, model.state_dict()):
        raise UserError(
            f"{whose} does not fit {known.model} with {outputs} classes: {fault}; train the client on "
            "this data set"
        )
    model.load_state_dict(state)
    return Upload(
        client=known.client,
        model=model,
        classes=tuple(known.classes),
        outputs=outputs,
        mean=tuple(known.mean),
        std=tuple(known.std),
        edge=known.shape[1],
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
