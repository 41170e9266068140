"""SCAFFOLD: control variates against client drift (Karimireddy et al., ICML 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from fedgenbench.federated.method import Method, MethodSettings, Weighting, weighted
from fedgenbench.federated.types import Slots, State

if TYPE_CHECKING:
    from torch import Tensor


class Scaffold(Method):
    """Every local gradient is corrected by c − c_i; controls are refreshed by option II."""

    label = "SCAFFOLD"
    private = True
    family = "global"
    source = "Karimireddy et al. 2020, Algorithm 1, option II"
    personal = "global"

    class Settings(MethodSettings):
        weighting: Weighting = Field(
            description="Weights of the clients in the server's means; the paper's are uniform."
        )

    def _zeros(self, model: State) -> State:
        return {name: model[name].new_zeros(model[name].shape) for name in self.task.parameters}

    def init_client(self, model: State, counts: Tensor) -> Slots:
        return {"model": model, "control": self._zeros(model)}

    def init_server(self, model: State, shares: Tensor, seed: int) -> Slots:
        shares = weighted(shares, self.settings.weighting)
        return {"model": model, "control": self._zeros(model), "clients": {"shares": shares}}

    def download(self, server: Slots, client: int) -> Slots:
        return {"model": server["model"], "server_control": server["control"]}

    def adjust(self, grads: State, slots: Slots) -> State:
        own, common = slots["control"], slots["server_control"]
        return {name: grad - own[name] + common[name] for name, grad in grads.items()}

    def finish(self, slots: Slots, steps: Tensor) -> Slots:
        """Option II: c_i ← c_i − c + (x − y_i) / (K η), the mean gradient along the local path.

        With momentum β the j-th last gradient moves the model by η (1 − β^j) / (1 − β), so the sum of
        these factors stands for K; they are equal at β = 0, the published case.
        """
        lr, beta, _ = self.task.optimiser
        gradients = (steps - beta * (1 - beta**steps) / (1 - beta)) / (1 - beta)
        start, end, common = slots["start"], slots["model"], slots["server_control"]
        change = {
            name: (start[name] - end[name]) / (lr * gradients).to(c.dtype) - c
            for name, c in common.items()
        }
        control = {name: c + change[name] for name, c in slots["control"].items()}
        return slots | {"control": control, "change": change}

    def upload(self, slots: Slots) -> Slots:
        return {"model": slots["model"], "change": slots["change"]}

    def aggregate(
        self, server: Slots, uploads: Slots, weights: Tensor, clients: list[int]
    ) -> Slots:
        """x ← mean of y_i; c ← c + |S|/N · mean of Δc_i, and so stays the mean of all controls."""
        weights = weighted(weights, self.settings.weighting)
        present = server["clients"]["shares"][clients].sum()
        none = self._zeros(server["model"])
        change = self.average(uploads["change"], weights * present.cpu(), none)
        control = {name: c + change[name] for name, c in server["control"].items()}
        return super().aggregate(server, uploads, weights, clients) | {"control": control}
