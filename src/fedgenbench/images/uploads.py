"""A classifier that a client has sent, and the losses under which the server sees images by it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedgenbench.core.errors import UserError
from fedgenbench.core.uploads import value_fault
from fedgenbench.models.layers import BatchNorm

BATCH_NORMS = (nn.BatchNorm2d, BatchNorm)
LUMINANCE = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Upload:
    """What a client sends: a classifier in eval mode, and how its images are normalised.

    ``mean`` and ``std`` have one number per channel, ``edge`` is the side in pixels of the images
    that it was trained on; ``classes`` are the labels that the client holds.

    Raises:
        UserError: the head has not ``outputs`` classes; a tensor is not finite or too large
            (``core.uploads``); or a batch norm has a variance of zero, which no image can match.
    """

    client: int
    model: nn.Module
    classes: tuple[int, ...]
    outputs: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    edge: int

    def __post_init__(self) -> None:
        whose = f"the upload of client {self.client}"
        if (found := cast(Any, self.model.head).out_features) != self.outputs:
            raise UserError(
                f"{whose}: its head has {found} classes, {self.outputs} are claimed; train the "
                "client on this data set"
            )
        if fault := value_fault(self.model.state_dict()):
            raise UserError(f"{whose}: {fault}; its training has diverged: lower fedlmg.clients.lr")
        for name, layer in self.model.named_modules():
            if not isinstance(layer, BATCH_NORMS):
                continue
            if not (cast(Any, layer.running_var) > 0).all():
                raise UserError(
                    f"{whose}: {name}.running_var has a channel of zero variance, which nothing "
                    "that the client saw moves; train it longer or at a lower fedlmg.clients.lr"
                )

    def frozen(self, device: Any) -> Upload:
        """Itself, with the model on ``device``, in fp32 and eval mode, nothing trainable."""
        model = cast(Any, self.model.to(device, torch.float32))  # torch's types lack the layout
        model.to(memory_format=torch.channels_last).eval().requires_grad_(False)
        return self

    @cached_property
    def _normalisation(self) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, deviation and the weights of luminance [C, 1, 1], where the model is: moved once, as
        a copy to a GPU would hold up every step."""
        device = next(self.model.parameters()).device
        values = (self.mean, self.std, LUMINANCE)
        mean, std, luminance = (torch.tensor(each, device=device)[:, None, None] for each in values)
        return mean, std, luminance

    def losses(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy [B] and batch-norm loss [B] of images [B, 3, H, W] between 0 and 1."""
        mean, std, luminance = self._normalisation
        x = images.float()
        if x.shape[-1] != self.edge:
            # As the clients of the authors' code see their images: bicubic, without antialiasing.
            x = F.interpolate(x, (self.edge, self.edge), mode="bicubic")
        if len(self.mean) == 1:
            x = (x * luminance).sum(1, keepdim=True)
        with batch_norm_inputs(self.model) as seen:
            logits = self.model((x - mean) / std)[0]
        return F.cross_entropy(logits, labels, reduction="none"), batch_norm_loss(seen, x)


@contextlib.contextmanager
def batch_norm_inputs(model: nn.Module) -> Iterator[list[tuple[nn.Module, Tensor]]]:
    """Gathers every batch-norm layer of ``model`` with its input, in the order of their calls."""
    seen: list[tuple[nn.Module, Tensor]] = []
    hooks = [
        layer.register_forward_pre_hook(lambda own, inputs: seen.append((own, inputs[0])))
        for layer in model.modules()
        if isinstance(layer, BATCH_NORMS)
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def batch_norm_loss(seen: Sequence[tuple[Any, Tensor]], images: Tensor) -> Tensor:
    """Σ over layers of ‖σ² − σ̂²‖₂ + ‖μ − μ̂‖₂ for each of ``images`` [B, ...] (sheet §3 step 5).

    Statistics are those of each image alone, over its positions, with the biased variance: the
    authors' batch is one image, and what else is in a batch must not matter. Zero for a network
    without batch norm.
    """
    total = images.new_zeros(len(images))
    for layer, x in seen:
        mean, var = x.mean((2, 3)), x.var((2, 3), correction=0)
        total = total + (
            torch.linalg.vector_norm(var - layer.running_var, dim=1)
            + torch.linalg.vector_norm(mean - layer.running_mean, dim=1)
        )
    return total
