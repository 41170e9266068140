"""APFL: a learned mixture of a personal and the global model (Deng, Kamani, Mahdavi, 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import Field

from fedgenbench.federated.method import Method, MethodSettings
from fedgenbench.federated.types import Batch, Slots, State

if TYPE_CHECKING:
    from torch import Tensor


class APFL(Method):
    """Deploys v̄ = α v + (1 − α) w; v and α descend the loss of v̄, and w its own, as in FedAvg."""

    label = "APFL"
    family = "personalised"
    source = "Deng et al. 2020, Algorithm 1; papers/warmfed.md §6"

    class Settings(MethodSettings):
        alpha: float = Field(description="First value of the mixing weight α.", ge=0, le=1)

    def init_client(self, model: State, counts: Tensor) -> Slots:
        any_tensor = model[self.task.parameters[0]]
        alpha = any_tensor.new_tensor(self.settings.alpha)
        return {"model": model, "personal": model, "mixture": {"alpha": alpha}}

    def mixed(self, slots: Slots) -> State:
        """v̄, with the buffers that its own passes moved."""
        w, v, alpha = slots["model"], slots["personal"], slots["mixture"]["alpha"]
        return v | {n: alpha * v[n] + (1 - alpha) * w[n] for n in self.task.parameters}

    def step(self, slots: Slots, batch: Batch) -> Slots:
        w, v, alpha = slots["model"], slots["personal"], slots["mixture"]["alpha"]
        grads, buffers = self.task.gradient(
            lambda model: self.loss(model, slots, batch), self.mixed(slots)
        )
        slope = sum((grad * (v[name] - w[name])).sum() for name, grad in grads.items())
        new_alpha = (alpha - self.task.optimiser.lr * slope).clamp(0, 1)
        slots = super().step(slots, batch)
        slots = self.task.descend(
            slots, "personal", {name: alpha * grad for name, grad in grads.items()}, buffers
        )
        return slots | {"mixture": {"alpha": new_alpha}}

    def recalibrate(self, slots: Slots, statistics: Callable[[State], State]) -> Slots:
        mixed = statistics(self.mixed(slots))
        buffers = {name: mixed[name] for name in self.task.buffers}
        return super().recalibrate(slots, statistics) | {"personal": slots["personal"] | buffers}

    def predict(self, slots: Slots, x: Tensor) -> Tensor:
        return self.task.logits(self.mixed(slots), x)
