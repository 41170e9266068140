"""FedALA: adaptive local aggregation of the received model (Zhang et al., AAAI 2023)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from fedgenbench.federated.method import Method, MethodSettings, Phase
from fedgenbench.federated.types import Batch, Slots, State

if TYPE_CHECKING:
    from torch import Tensor


class FedALA(Method):
    """Top layers start at old + (received − old) ⊙ W, with W in [0, 1] learned on local data."""

    label = "FedALA"
    family = "personalised"
    source = "Zhang et al. 2023, Algorithm 1; papers/warmfed.md §6"

    class Settings(MethodSettings):
        eta: float = Field(description="Step η of the aggregation weights W.", gt=0)
        share: float = Field(description="Share of each batch that W learns from.", gt=0, le=1)
        tensors: int = Field(description="Parameter tensors with a W, counted from the top.", ge=1)

    def _top(self) -> list[str]:
        return self.task.parameters[-self.settings.tensors :]

    def init_client(self, model: State, counts: Tensor) -> Slots:
        ones = {name: model[name].new_ones(model[name].shape) for name in self._top()}
        return {"model": model, "mixing": ones}

    def receive(self, slots: Slots, payload: Slots) -> Slots:
        return super().receive(slots, payload) | {"old": slots["model"]}

    def phases(self) -> list[Phase]:
        return [Phase(1, self.mix), *super().phases()]

    def mix(self, slots: Slots, batch: Batch) -> Slots:
        """One step of W, and the model that it gives."""
        old, received, mixing = slots["old"], slots["start"], slots["mixing"]
        gap = {name: received[name] - old[name] for name in self._top()}

        def mixed(mixing: State) -> State:
            return received | {n: old[n] + gap[n] * mixing[n] for n in gap}

        loss = partial(self.loss, slots=slots, batch=self._part(batch))
        grads, _ = self.task.gradient(loss, mixed(mixing), train=gap)
        mixing = {
            n: (w - self.settings.eta * grads[n] * gap[n]).clamp(0, 1) for n, w in mixing.items()
        }
        return slots | {"mixing": mixing, "model": mixed(mixing)}

    def _part(self, batch: Batch) -> Batch:
        """Only the first ``share`` of the samples counts; batches are shuffled."""
        import torch

        x = batch.x
        mask = x.new_ones(len(x)) if batch.mask is None else batch.mask
        rank = torch.arange(len(x), device=x.device)
        return batch._replace(mask=mask * (rank < self.settings.share * mask.sum()))
