"""MOON: model-contrastive local training (Li, He, Song, CVPR 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from fedgenbench.federated.method import Method, MethodSettings
from fedgenbench.federated.types import Batch, Slots, State

if TYPE_CHECKING:
    from torch import Tensor


class Moon(Method):
    """Features are drawn to the received model's and pushed from the previous local model's."""

    label = "MOON"
    family = "global"
    source = "Li et al. 2021, Algorithm 1; papers/warmfed.md §6"
    personal = "global"

    class Settings(MethodSettings):
        mu: float = Field(description="Weight μ of the contrastive loss.", ge=0)
        temperature: float = Field(description="Its temperature τ.", gt=0)

    def receive(self, slots: Slots, payload: Slots) -> Slots:
        # Before a client's first training both references coincide and the contrast has no gradient.
        return super().receive(slots, payload) | {"previous": slots["model"]}

    def loss(self, model: State, slots: Slots, batch: Batch) -> tuple[Tensor, State]:
        import torch
        from torch.nn.functional import cosine_similarity, softplus

        from fedgenbench.federated.task import cross_entropy, masked_mean

        out = self.task.forward(model, batch)
        with torch.no_grad():
            received, previous = (
                self.task.forward(slots[role], batch, train=False).features
                for role in ("start", "previous")
            )
        towards = cosine_similarity(out.features, received)
        away = cosine_similarity(out.features, previous)
        # −log(e^a / (e^a + e^b)) = softplus(b − a)
        contrast = masked_mean(softplus((away - towards) / self.settings.temperature), batch.mask)
        return cross_entropy(out.logits, batch) + self.settings.mu * contrast, out.buffers
