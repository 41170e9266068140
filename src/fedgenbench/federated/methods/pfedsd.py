"""pFedSD: self-distillation from the previous local model (Jin et al., TPDS 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from fedgenbench.federated.method import Method, MethodSettings
from fedgenbench.federated.types import Batch, Slots, State

if TYPE_CHECKING:
    from torch import Tensor


class PFedSD(Method):
    """The client's model of its last round teaches the received one: λ T² KL(teacher ‖ student)."""

    label = "pFedSD"
    family = "personalised"
    source = "Jin et al. 2023; papers/warmfed.md §3.3 and §6"

    class Settings(MethodSettings):
        lam: float = Field(description="Weight λ of the distillation.", ge=0)
        temperature: float = Field(description="Temperature T of both distributions.", gt=0)

    def init_client(self, model: State, counts: Tensor) -> Slots:
        untaught = model[self.task.parameters[0]].new_zeros(())
        return {"model": model, "teaching": {"weight": untaught}}

    def receive(self, slots: Slots, payload: Slots) -> Slots:
        return super().receive(slots, payload) | {"teacher": slots["model"]}

    def loss(self, model: State, slots: Slots, batch: Batch) -> tuple[Tensor, State]:
        from fedgenbench.federated.task import cross_entropy, distillation

        out = self.task.forward(model, batch)
        teacher = self.task.logits(slots["teacher"], batch.x).detach()
        taught = distillation(out.logits, teacher, self.settings.temperature, batch.mask)
        weight = slots["teaching"]["weight"] * self.settings.lam
        return cross_entropy(out.logits, batch) + weight * taught, out.buffers

    def finish(self, slots: Slots, steps: Tensor) -> Slots:
        return slots | {"teaching": {"weight": slots["teaching"]["weight"].new_ones(())}}
