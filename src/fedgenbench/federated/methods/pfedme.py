"""pFedMe: personalisation by Moreau envelopes (Dinh, Tran, Nguyen, NeurIPS 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import Field

from fedgenbench.federated.method import Method, MethodSettings, Weighting, weighted
from fedgenbench.federated.types import SGD, Batch, Slots, State

if TYPE_CHECKING:
    from torch import Tensor


class PFedMe(Method):
    """Per batch: θ ≈ argmin f(θ) + λ/2 ‖θ − w‖² by K gradient steps, then w ← w − η λ (w − θ)."""

    label = "pFedMe"
    family = "personalised"
    source = "Dinh et al. 2020, Algorithm 1; papers/pfedgpa.md §6"

    class Settings(MethodSettings):
        lr: float = Field(description="Step η of the local copy w of the global model.", gt=0)
        personal_lr: float = Field(description="Step of the personal model θ.", gt=0)
        lam: float = Field(description="Pull λ of θ towards w.", gt=0)
        steps: int = Field(description="Gradient steps K on θ per batch.", ge=1)
        beta: float = Field(description="Server: w ← (1 − β) w + β mean.", gt=0, le=1)
        weighting: Weighting = Field(
            description="Weights of the clients in the server's means; the paper's are uniform."
        )

    def init_client(self, model: State, counts: Tensor) -> Slots:
        return {"model": model, "personal": model}

    def receive(self, slots: Slots, payload: Slots) -> Slots:
        slots = super().receive(slots, payload)
        return slots | {"personal": slots["model"]}

    def step(self, slots: Slots, batch: Batch) -> Slots:
        for _ in range(self.settings.steps):
            slots = self.approach(slots, batch)
        w, theta = slots["model"], slots["personal"]
        pull = self.settings.lr * self.settings.lam
        moved = {name: w[name] - pull * (w[name] - theta[name]) for name in self.task.parameters}
        return slots | {"model": theta | moved}  # the buffers are those of θ's passes

    def approach(self, slots: Slots, batch: Batch) -> Slots:
        """One gradient step of θ on the batch's Moreau envelope."""
        from fedgenbench.federated.task import proximal

        return self.task.sgd(
            slots,
            "personal",
            lambda model: self.loss(model, slots, batch),
            optimiser=SGD(self.settings.personal_lr),
            adjust=lambda grads: proximal(
                grads, slots["personal"], slots["model"], self.settings.lam
            ),
        )

    def aggregate(
        self, server: Slots, uploads: Slots, weights: Tensor, clients: list[int]
    ) -> Slots:
        old, beta = server["model"], self.settings.beta
        weights = weighted(weights, self.settings.weighting)
        mean = super().aggregate(server, uploads, weights, clients)["model"]
        return server | {"model": {n: (1 - beta) * old[n] + beta * t for n, t in mean.items()}}

    def recalibrate(self, slots: Slots, statistics: Callable[[State], State]) -> Slots:
        return slots | {role: statistics(slots[role]) for role in ("model", "personal")}

    def predict(self, slots: Slots, x: Tensor) -> Tensor:
        return self.task.logits(slots["personal"], x)
