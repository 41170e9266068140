"""What a program costs, counted from the shapes of its tensors: no weights, no data, no GPU.

A program is one step of a long job. It runs on torch's meta device, where tensors have shapes and no
numbers. FLOPs are torch's own count, two for a multiplication with its addition; bytes are those of all
storages alive at once. Attention is counted as the fused kernels of GPUs compute it, without its matrix.
Both are lower bounds of what a card needs: its driver, its allocator and its convolutions' workspaces
come on top. Loads torch where it counts.
"""

from __future__ import annotations

import contextlib
import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

Step = Callable[[], object]


@dataclass(frozen=True)
class Program:
    """One step of ``batch`` images (or vectors) at once, at its true size. Subclasses say which."""

    batch: int

    @property
    def title(self) -> str:
        """What it is called in tables."""
        raise NotImplementedError

    def running(
        self, device: str
    ) -> contextlib.AbstractContextManager[tuple[Step, list[nn.Module]]]:
        """The step with networks of arbitrary weights on ``device``, and these networks."""
        raise NotImplementedError


@dataclass(frozen=True)
class Cost:
    """Of one step: ``flops``; the networks' bytes, ``weights``; and the most bytes at once, ``peak``."""

    flops: int
    weights: int
    peak: int


@dataclass(frozen=True)
class Work:
    """A part of a job: ``images`` images, vectors or gradients that go through ``program`` in all."""

    program: Program
    images: float

    @property
    def flops(self) -> float:
        return cost(self.program).flops * self.images / self.program.batch


@cache
def cost(program: Program) -> Cost:
    """What a step of ``program`` costs.

    Raises:
        UserError: the size of one of its networks is not known.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with program.running("meta") as (step, networks):
        live = _live()
        tensors = [t for n in networks for t in (*n.parameters(), *n.buffers())]
        for tensor in tensors:
            live.add(tensor)
        weights = live.now
        counter = FlopCounterMode(display=False)
        with _fused_attention(), live, counter:
            step()
        return Cost(counter.get_total_flops(), weights, live.peak)


def largest_batch(program: Program, memory: int) -> int:
    """The most images of ``program`` at once for which ``memory`` bytes are enough; 0 for none.

    What is alive at a moment grows by the image, so two traces give all others: twice the batch where
    that of ``program`` fits, else one image.
    """
    batch, peak = program.batch, cost(program).peak
    if peak > memory:
        other = 1
        if batch == 1 or cost(replace(program, batch=1)).peak > memory:
            return 0
    else:
        other = 2 * batch
    each = (cost(replace(program, batch=other)).peak - peak) / (other - batch)
    return batch + math.floor((memory - peak) / each)


def _live() -> Any:
    """A mode that counts bytes of storages alive, each once. (torch's own tracker fails on frozen
    parameters.)"""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.now = self.peak = 0
            self.sizes: dict[int, int] = {}

        def add(self, tensor: torch.Tensor) -> None:
            storage = tensor.untyped_storage()
            if storage._cdata in self.sizes:
                return
            self.sizes[storage._cdata] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._freed, storage._cdata)

        def _freed(self, key: int) -> None:
            self.now -= self.sizes.pop(key)

        def __torch_dispatch__(
            self, operator: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
        ) -> Any:
            result = operator(*args, **(kwargs or {}))
            for each in tree_leaves(result):
                if isinstance(each, torch.Tensor):
                    self.add(each)
            return result

    return Live()


@contextlib.contextmanager
def _fused_attention() -> Iterator[None]:
    """torch's attention as one operator, as GPUs have it: the meta device would take it apart."""
    import torch
    import torch.nn.functional as F

    def fused(query: Any, key: Any, value: Any, **options: Any) -> Any:
        assert options.get("attn_mask") is None  # no network here has one
        return torch.ops.aten._scaled_dot_product_flash_attention(
            query, key, value, is_causal=options.get("is_causal", False), scale=options.get("scale")
        )[0]

    whole = F.scaled_dot_product_attention
    F.scaled_dot_product_attention = fused  # type: ignore[assignment]
    try:
        yield
    finally:
        F.scaled_dot_product_attention = whole
