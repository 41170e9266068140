"""FedDyn: a dynamic regulariser that aligns local optima with the global one (Acar et al., ICLR 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from fedgenbench.federated.method import Method, MethodSettings, Weighting, weighted
from fedgenbench.federated.types import Slots, State

if TYPE_CHECKING:
    from torch import Tensor


class FedDyn(Method):
    """Local loss − ⟨g_k, θ⟩ + α/2 ‖θ − θ^t‖², where g_k remembers the client's last local gradient."""

    label = "FedDyn"
    private = True
    family = "global"
    source = "Acar et al. 2021, Algorithm 1"
    personal = "global"

    class Settings(MethodSettings):
        alpha: float = Field(description="Weight α of the dynamic regulariser.", gt=0)
        weighting: Weighting = Field(
            description="Weights of the clients in the server's means; the paper's are uniform."
        )

    def _zeros(self, model: State) -> State:
        return {name: model[name].new_zeros(model[name].shape) for name in self.task.parameters}

    def init_client(self, model: State, counts: Tensor) -> Slots:
        return {"model": model, "memory": self._zeros(model)}

    def init_server(self, model: State, shares: Tensor, seed: int) -> Slots:
        shares = weighted(shares, self.settings.weighting)
        return {"model": model, "h": self._zeros(model), "clients": {"shares": shares}}

    def adjust(self, grads: State, slots: Slots) -> State:
        from fedgenbench.federated.task import proximal

        pulled = proximal(grads, slots["model"], slots["start"], self.settings.alpha)
        return {name: grad - slots["memory"][name] for name, grad in pulled.items()}

    def finish(self, slots: Slots, steps: Tensor) -> Slots:
        """First-order condition of the local problem: g_k ← g_k − α (θ_k − θ^t)."""
        start, end = slots["start"], slots["model"]
        memory = {
            name: g - self.settings.alpha * (end[name] - start[name])
            for name, g in slots["memory"].items()
        }
        return slots | {"memory": memory}

    def aggregate(
        self, server: Slots, uploads: Slots, weights: Tensor, clients: list[int]
    ) -> Slots:
        """h ← h − α p (θ̄ − θ^t) with p the share of those present; θ^{t+1} = θ̄ − h / α."""
        weights = weighted(weights, self.settings.weighting)
        merged = super().aggregate(server, uploads, weights, clients)
        old, mean, alpha = server["model"], merged["model"], self.settings.alpha
        present = float(server["clients"]["shares"][clients].sum())
        h = {n: t - alpha * present * (mean[n] - old[n]) for n, t in server["h"].items()}
        return merged | {"model": mean | {n: mean[n] - t / alpha for n, t in h.items()}, "h": h}
