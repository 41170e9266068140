"""Batches that shrink where a GPU's memory ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

from fedgenbench.core.errors import UserError

Result = TypeVar("Result")
Sized = TypeVar("Sized", np.ndarray, torch.Tensor)


class Batch:
    """How many images go through the network at once: ``size``, which halves on demand.

    ``what`` names the work in messages; ``notes`` says what happened.
    """

    def __init__(self, size: int, what: str):
        self.size, self.what = size, what
        self.notes: list[str] = []

    def attempt(self, work: Callable[[], Result]) -> Result:
        """``work()``, which reads ``size``; done anew with half of it each time memory runs out.

        Raises:
            UserError: the memory is too small for one image.
        """
        while True:
            try:
                return work()
            except torch.cuda.OutOfMemoryError as error:
                if self.size == 1:
                    raise UserError(
                        f"{self.what}: the GPU's memory is too small for a single image. Take "
                        "a base of fp16 or bf16 precision, or a lower resolution (`base`). "
                        f"({str(error).splitlines()[0]})"
                    ) from error
            # Out of the handler: its traceback holds on to the tensors of the failed attempt.
            torch.cuda.empty_cache()
            self.size //= 2
            self.notes.append(f"{self.what}: out of GPU memory, {self.size} images at a time now")
            print(self.notes[-1], file=sys.stderr, flush=True)

    def over(self, count: int, work: Callable[[slice], Sized]) -> list[Sized]:
        """``work`` on consecutive slices of ``count`` rows, ``size`` rows at a time."""
        parts: list[Sized] = []

        def following() -> Sized:
            start = sum(map(len, parts))
            return work(slice(start, start + self.size))  # a failed attempt has changed the size

        while sum(map(len, parts)) < count:
            parts.append(self.attempt(following))
        return parts
