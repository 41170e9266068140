"""What a method asks of a client's machine, counted by torch and not by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn


def parameters(*networks: nn.Module) -> int:
    return sum(p.numel() for network in networks for p in network.parameters())


def flops(work: Callable[[], Any]) -> int:
    """Floating-point operations of ``work``: two of a multiplication that is added, as torch counts."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()
