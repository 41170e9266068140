"""Batches that shrink where a GPU's memory ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import torch

from fedgenbench.errors import UserError

Result = TypeVar("Result")


class Batch:
    """How many images go through the network at once: ``size``, which halves on demand.

    ``what`` names the work in messages and ``way_out`` the settings that need less memory;
    ``notes`` says what happened.
    """

    def __init__(self, size: int, what: str, way_out: str):
        self.size, self.what, self.way_out = size, what, way_out
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
                        f"{self.what}: the GPU's memory is too small for a single image. "
                        f"{self.way_out} ({str(error).splitlines()[0]})"
                    ) from error
            # Out of the handler: its traceback holds on to the tensors of the failed attempt.
            torch.cuda.empty_cache()
            self.size //= 2
            self.notes.append(f"{self.what}: out of GPU memory, {self.size} images at a time now")
            print(self.notes[-1], file=sys.stderr, flush=True)
