"""Per-FedAvg, first-order: a model that one pass personalises (Fallah et al., NeurIPS 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from fedgenbench.federated.method import Method, MethodSettings, Phase
from fedgenbench.federated.types import SGD, Batch, Slots, State

if TYPE_CHECKING:
    from torch import Tensor


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """The even and the odd samples of a batch; the odd half of a single sample is empty.

    An explicit mask makes the loss of an empty half zero, where a plain mean would be 0/0.
    """
    x, y, mask = batch[:3]
    assert y is not None
    mask = x.new_ones(len(x)) if mask is None else mask
    even, odd = (Batch(x[first::2], y[first::2], mask[first::2]) for first in (0, 1))
    return even, odd


class PerFedAvg(Method):
    """A step of β along the gradient on one half batch, taken where a step of α on the other led."""

    label = "Per-FedAvg"
    family = "personalised"
    source = "Fallah et al. 2020, Algorithm 1, first-order (FO); papers/pfedgpa.md §6"
    personal = "adapted"

    class Settings(MethodSettings):
        alpha: float = Field(description="Step α of the adaptation.", gt=0)
        beta: float = Field(description="Step β of the meta-update.", gt=0)

    def step(self, slots: Slots, batch: Batch) -> Slots:
        support, query = halves(batch)
        start = slots["model"]
        adapted = self.descend(slots, support)["model"]

        def at_adapted(model: State) -> tuple[Tensor, State]:
            # Adding model − start = 0 carries the gradient taken at ``adapted`` over to ``model``.
            moved = {n: adapted[n] + (model[n] - start[n]) for n in self.task.parameters}
            value, _ = self.loss(adapted | moved, slots, query)
            return value, {name: adapted[name] for name in self.task.buffers}

        meta = self.task.optimiser._replace(lr=self.settings.beta)
        return self.task.sgd(slots, "model", at_adapted, optimiser=meta)

    def descend(self, slots: Slots, batch: Batch) -> Slots:
        """One plain gradient step of α."""
        return self.sgd_step(slots, batch, optimiser=SGD(self.settings.alpha))

    def adapt(self) -> list[Phase]:
        return [Phase(1, self.descend)]
