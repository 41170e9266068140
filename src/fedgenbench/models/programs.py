"""A step of training of a classifier, to be counted or timed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from fedgenbench.core.tracing import Program, Step
from fedgenbench.models import build


@dataclass(frozen=True)
class ClassifierStep(Program):
    """SGD with momentum on ``model`` for images of ``shape`` (C, H, W), or on its ``head`` alone."""

    model: str
    shape: tuple[int, int, int]
    classes: int
    head: bool = False

    @property
    def title(self) -> str:
        what = f"{self.model}'s head" if self.head else self.model
        return f"training step, {what}, {self.shape[1]} px, fp32"

    @contextlib.contextmanager
    def running(self, device: str) -> Iterator[tuple[Step, list[nn.Module]]]:
        with torch.device(device):
            model = build(self.model, self.shape, self.classes, 0)
            images = torch.full((self.batch, *self.shape), 0.5)
            labels = torch.zeros(self.batch, dtype=torch.long)
        if self.head:
            model.eval().requires_grad_(False)
            model.head.requires_grad_(True)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimiser = torch.optim.SGD(trained, lr=0.01, momentum=0.9)

        def step() -> None:
            optimiser.zero_grad()
            F.cross_entropy(model(images)[0], labels).backward()
            optimiser.step()

        yield step, [model]
