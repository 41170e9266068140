"""FedRoD: a generic and a personal head on one body (Chen and Chao, ICLR 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from fedgenbench.federated.method import Method, MethodSettings
from fedgenbench.federated.types import Batch, Slots, State

if TYPE_CHECKING:
    from torch import Tensor


class FedRoD(Method):
    """Body and generic head learn a balanced softmax; the personal head learns the rest locally."""

    label = "FedRoD"
    family = "personalised"
    source = "Chen and Chao 2022, linear variant; papers/warmfed.md §6"

    class Settings(MethodSettings):
        gamma: float = Field(description="Power γ of the class prior in the balanced loss.", ge=0)

    def init_client(self, model: State, counts: Tensor) -> Slots:
        head = {name: model[name] for name in self.task.head}
        counts = counts.to(model["head.bias"])
        # Kept as log π^γ: a class that the client lacks is left out of the softmax (−inf).
        prior = (counts / counts.sum()).pow(self.settings.gamma).log()
        return {"model": model, "personal": head, "prior": {"log": prior}}

    def step(self, slots: Slots, batch: Batch) -> Slots:
        from fedgenbench.federated.task import cross_entropy

        def balanced(model: State):
            out = self.task.forward(model, batch)
            value = cross_entropy(out.logits + slots["prior"]["log"], batch)
            return value, (out.logits.detach(), out.features.detach(), out.buffers)

        grads, (generic, features, buffers) = self.task.gradient(balanced, slots["model"])
        slots = self.task.descend(slots, "model", grads, buffers)

        def empirical(head: State) -> tuple[Tensor, State]:
            return cross_entropy(generic + self.task.classify(head, features), batch), {}

        return self.task.sgd(slots, "personal", empirical, train=self.task.head)

    def predict(self, slots: Slots, x: Tensor) -> Tensor:
        out = self.task.forward(slots["model"], Batch(x), train=False)
        return out.logits + self.task.classify(slots["personal"], out.features)
