"""Ditto: a personal model beside the global one, tied to it (Li et al., ICML 2021)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import Field

from fedgenbench.federated.method import Method, MethodSettings
from fedgenbench.federated.types import Batch, Slots, State

if TYPE_CHECKING:
    from torch import Tensor


class Ditto(Method):
    """FedAvg, and a personal model v with the regulariser λ/2 ‖v − w^t‖² that never travels."""

    label = "Ditto"
    family = "personalised"
    source = "Li et al. 2021, Algorithm 1; papers/pfedgpa.md §6"

    class Settings(MethodSettings):
        lam: float = Field(description="Pull λ of the personal towards the global model.", ge=0)

    def init_client(self, model: State, counts: Tensor) -> Slots:
        return {"model": model, "personal": model}

    def step(self, slots: Slots, batch: Batch) -> Slots:
        """One step of the global solver and one of the personal solver, on the same batch."""
        from fedgenbench.federated.task import proximal

        return self.task.sgd(
            super().step(slots, batch),
            "personal",
            lambda model: self.loss(model, slots, batch),
            adjust=lambda grads: proximal(
                grads, slots["personal"], slots["start"], self.settings.lam
            ),
        )

    def recalibrate(self, slots: Slots, statistics: Callable[[State], State]) -> Slots:
        return slots | {role: statistics(slots[role]) for role in ("model", "personal")}

    def predict(self, slots: Slots, x: Tensor) -> Tensor:
        return self.task.logits(slots["personal"], x)
