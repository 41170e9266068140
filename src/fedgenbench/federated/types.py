"""The shapes that data takes between methods, engines and the server; imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

# A model: parameters and buffers by name. What a client or the server holds: states by role, e.g.
# {"model": ..., "personal": ...}. Stacked, every tensor has a first dimension of clients.
State = dict[str, "Tensor"]
Slots = dict[str, State]


class Batch(NamedTuple):
    """``x`` [B, C, H, W], ``y`` [B]; ``mask`` [B] with 0 for padding, or None for a full batch.

    ``row`` [B] is each sample's place among the client's training rows; ``gumbel`` [B, k] holds draws
    of the standard Gumbel distribution, where a phase asks for them. Batches of private training have
    ``noise`` [P], a standard normal for each parameter, and ``expected``, a batch's mean size.
    """

    x: Tensor
    y: Tensor | None = None
    mask: Tensor | None = None
    row: Tensor | None = None
    gumbel: Tensor | None = None
    noise: Tensor | None = None
    expected: Tensor | None = None


class Output(NamedTuple):
    """``logits`` [B, classes], ``features`` [B, F] and the buffers after the pass."""

    logits: Tensor
    features: Tensor
    buffers: State


class SGD(NamedTuple):
    """Local optimiser settings: plain SGD with momentum and weight decay, as ``torch.optim.SGD``."""

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
