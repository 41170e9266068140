"""Batch-norm statistics that belong to the weights: exact over the images that a model was trained on.

Running averages lag behind the weights that they are used with, and take over whatever was seen last
(docs/normalisation.md).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fedgenbench.models.layers import BatchNorm

State = dict[str, Tensor]
Moments = tuple[int, Tensor, Tensor]  # number of values, mean and biased variance by channel
LAYERS = (BatchNorm, nn.BatchNorm2d)
PART = 500  # images at a time


@torch.no_grad()
def recalibrated(
    module: nn.Module, state: State, images: Callable[[Tensor], Tensor], rows: Tensor
) -> State:
    """``state`` with the batch-norm statistics of its own weights over the images ``rows``.

    Each layer's mean and variance are those of its inputs, all layers before it normalising as at
    inference. The variance is the biased one: then a layer gives at inference, on these images, what
    it gives in training mode on all of them as one batch. Sets of more than ``PART`` images take a
    pass for each layer, and their moments are pooled in float64 (Chan, Golub and LeVeque, 1979).

    Args:
        module: the network; it is left as it was, and so are the tensors of ``state``.
        state: its parameters and buffers by name.
        images: gives images [n, C, H, W], not augmented, of row numbers [n].
        rows: the images that count, at least one.
    """
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, LAYERS)}
    if not layers:
        return state
    names = [f"{name}.running_{kind}" for name in layers for kind in ("mean", "var")]
    state = state | {name: state[name].clone() for name in names}
    parts = rows.split(PART)
    measured = _Measured(state, at_once=len(parts) == 1)
    hooks = [
        layer.register_forward_pre_hook(partial(measured.measure, name))
        for name, layer in layers.items()
    ]
    training = module.training
    module.eval()
    try:
        for _ in range(1 if measured.at_once else len(layers)):
            for part in parts:
                with suppress(_EndOfPass):
                    functional_call(module, dict(state), (images(part),), strict=True)
            measured.settle()
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return state


class _EndOfPass(Exception):
    """A pass ends at the layer that it measures."""


class _Measured:
    """Which layers of ``state`` have their statistics; ``at_once`` is one pass enough for all."""

    def __init__(self, state: State, at_once: bool):
        self.state, self.at_once = state, at_once
        self.known: set[str] = set()
        self.moments: dict[str, Moments] = {}

    def measure(self, name: str, layer: Any, inputs: tuple[Tensor, ...]) -> None:
        """A hook of the layer ``name``, called before it normalises ``inputs``."""
        if name in self.known:
            return
        self.moments[name] = pooled(moments(inputs[0]), self.moments.get(name))
        if not self.at_once:
            raise _EndOfPass
        self.settle()

    def settle(self) -> None:
        """What has been measured becomes the layers' statistics."""
        for name, (_, mean, var) in self.moments.items():
            self.state[f"{name}.running_mean"].copy_(mean)
            self.state[f"{name}.running_var"].copy_(var)
        self.known |= self.moments.keys()
        self.moments = {}


def recalibrate(module: nn.Module, images: Callable[[Tensor], Tensor], count: int) -> None:
    """Gives ``module`` the statistics of its weights over the first ``count`` of ``images``, in place."""
    state = recalibrated(module, module.state_dict(), images, torch.arange(count))
    module.load_state_dict(state)


def moments(x: Tensor) -> Moments:
    """Of the inputs [n, C, H, W] of a layer."""
    values = x.movedim(1, -1).flatten(0, 2)  # on a CPU twice as fast as Tensor.var
    mean = values.mean(0)
    return len(values), mean.double(), (values - mean).square().mean(0).double()


def pooled(new: Moments, old: Moments | None) -> Moments:
    """The moments of two sets of values together."""
    if old is None:
        return new
    (n, mean, var), (m, other, spread) = old, new
    total = n + m
    gap = other - mean
    together = mean + gap * (m / total)
    return total, together, (n * var + m * spread + gap.square() * (n * m / total)) / total
