"""FedPAC: feature alignment and classifier collaboration (Xu, Tong, Huang, ICLR 2023)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from fedgenbench.federated.method import MethodSettings, Phase
from fedgenbench.federated.methods.fedper import FedPer
from fedgenbench.federated.types import Batch, Slots, State

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


def collaboration(v: Tensor, h: Tensor, cutoff: float) -> np.ndarray:
    """Row i: the weights of all clients in client i's head.

    They minimise Σ_j α_j² v_j + ‖h_i − Σ_j α_j h_j‖² on the simplex: the variance of the mixture plus
    the squared distance of its class-wise features. As Σ α = 1, this is αᵀPα with the P below, and by
    homogeneity its minimiser is x / Σx for x = argmin ½ xᵀPx − Σx over x ≥ 0: a non-negative
    least-squares problem once P = LLᵀ.
    """
    import numpy as np
    from scipy.linalg import solve_triangular
    from scipy.optimize import nnls

    variances = v.double().cpu().numpy()
    rows = h.double().cpu().flatten(1).numpy()
    gram, ones = rows @ rows.T, np.ones(len(v))
    weights = []
    for i in range(len(v)):
        p = gram - gram[i] - gram[i][:, None] + gram[i, i] + np.diag(variances)
        p[np.diag_indices_from(p)] += 1e-9 * np.trace(p) + 1e-30  # v is 0 for constant features
        lower = np.linalg.cholesky(p)
        x, _ = nnls(lower.T, solve_triangular(lower, ones, lower=True))
        x = np.where(x < min(cutoff * x.sum(), x.max()), 0, x)
        weights.append(x / x.sum())
    return np.stack(weights)


class FedPAC(FedPer):
    """A shared body aligned to global class centroids; every client's head is a mixture of all heads."""

    label = "FedPAC"
    averages = False
    source = "Xu et al. 2023, Algorithm 1; papers/pfedgpa.md §4.3 and §6"

    class Settings(MethodSettings):
        head_lr: float = Field(description="Learning rate of the head's one epoch.", gt=0)
        alignment: float = Field(description="Weight of the feature alignment.", ge=0)
        cutoff: float = Field(description="Mixture weights below it are dropped.", ge=0, lt=1)

    def _no_statistics(self, model: State) -> State:
        weight = model["head.weight"]
        classes, width = weight.shape
        return {
            "sum": weight.new_zeros(classes, width),
            "count": weight.new_zeros(classes),
            "square": weight.new_zeros(()),
        }

    def init_server(self, model: State, shares: Tensor, seed: int) -> Slots:
        heads = {
            name: model[name].expand(len(shares), *model[name].shape) for name in self.task.head
        }
        empty = self._no_statistics(model)
        centroids = {"mean": empty["sum"], "known": empty["count"]}
        return {"model": model, "heads": heads, "centroids": centroids}

    def download(self, server: Slots, client: int) -> Slots:
        head = {name: t[client] for name, t in server["heads"].items()}
        body = super().download(server, client)["model"]
        return {"model": body | head, "centroids": server["centroids"]}

    def receive(self, slots: Slots, payload: Slots) -> Slots:
        empty = self._no_statistics(slots["model"])
        return super().receive(slots, payload) | {"before": empty, "after": empty}

    def phases(self) -> list[Phase]:
        fast = self.task.optimiser._replace(lr=self.settings.head_lr)
        return [
            Phase(1, partial(self.measure, role="before"), trains=False),
            Phase(1, partial(self.sgd_step, train=self.task.head, optimiser=fast)),
            Phase(self.epochs, self.align),
            Phase(1, partial(self.measure, role="after"), trains=False),
        ]

    def measure(self, slots: Slots, batch: Batch, role: str) -> Slots:
        """Adds a batch to the sums of features by class."""
        import torch

        assert batch.y is not None
        features = self.task.forward(slots["model"], batch, train=False).features
        classes = torch.arange(self.task.classes, device=batch.y.device)
        member = (batch.y[:, None] == classes).to(features.dtype)
        if batch.mask is not None:
            member = member * batch.mask[:, None]
        total = slots[role]
        return slots | {
            role: {
                "sum": total["sum"] + member.T @ features,
                "count": total["count"] + member.sum(0),
                "square": total["square"] + (member * features.square().sum(1)[:, None]).sum(),
            }
        }

    def align(self, slots: Slots, batch: Batch) -> Slots:
        """A step of the body on cross-entropy and the distance of features to their class centroids."""
        from fedgenbench.federated.task import cross_entropy, masked_mean

        mean, known = slots["centroids"]["mean"][batch.y], slots["centroids"]["known"][batch.y]

        def loss(model: State) -> tuple[Tensor, State]:
            out = self.task.forward(model, batch)
            distance = masked_mean((out.features - mean).square().mean(1) * known, batch.mask)
            value = cross_entropy(out.logits, batch) + self.settings.alignment * distance
            return value, out.buffers

        return self.task.sgd(slots, "model", loss, train=self.task.body)

    def upload(self, slots: Slots) -> Slots:
        before, after = slots["before"], slots["after"]
        n = before["count"].sum()
        h = before["sum"] / n  # class prior times class mean
        v = (before["square"] / n - h.square().sum()) / n
        return super().upload(slots) | {
            "head": {name: slots["model"][name] for name in self.task.head},
            "statistics": {"h": h, "v": v},
            "features": {"sum": after["sum"], "count": after["count"]},
        }

    def aggregate(
        self, server: Slots, uploads: Slots, weights: Tensor, clients: list[int]
    ) -> Slots:
        import torch

        from fedgenbench.federated.server import weighted_mean

        statistics = uploads["statistics"]
        mixture = collaboration(statistics["v"], statistics["h"], self.settings.cutoff)
        heads = {name: t.clone() for name, t in server["heads"].items()}
        for client, alpha in zip(clients, mixture, strict=True):
            for name, t in weighted_mean(uploads["head"], torch.from_numpy(alpha)).items():
                heads[name][client] = t
        total = weighted_mean(uploads["features"], torch.ones(len(clients)))
        seen, old = total["count"] > 0, server["centroids"]
        mean = total["sum"] / total["count"].clamp(min=1)[:, None]
        centroids = {
            "mean": torch.where(seen[:, None], mean, old["mean"]),
            "known": torch.where(seen, 1, old["known"]),
        }
        merged = super().aggregate(server, uploads, weights, clients)
        return merged | {"heads": heads, "centroids": centroids}
