"""pFedHN: a hypernetwork on the server generates each client's model (Shamsian et al., ICML 2021)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import Field

from fedgenbench.federated.method import Method, MethodSettings
from fedgenbench.federated.types import Slots, State

if TYPE_CHECKING:
    from torch import Tensor


class PFedHN(Method):
    """Only the change of a client's model reaches the hypernetwork: Δθᵀ ∂θ/∂φ is its gradient."""

    label = "pFedHN"
    averages = False
    family = "personalised"
    source = "Shamsian et al. 2021, Algorithm 1; papers/pfedgpa.md §6"
    personal = "received"  # the generated model, as it is

    class Settings(MethodSettings):
        hidden_layers: int = Field(description="Hidden layers of the hypernetwork.", ge=1)
        width: int = Field(description="Their width.", ge=1)
        lr: float = Field(description="The server's learning rate.", gt=0)
        momentum: float = Field(description="The server's momentum.", ge=0, lt=1)
        weight_decay: float = Field(description="The server's weight decay.", ge=0)
        clip: float = Field(description="Largest norm of the hypernetwork's gradient.", gt=0)

    def init_server(self, model: State, shares: Tensor, seed: int) -> Slots:
        """Embeddings are normal, layers uniform in ±1/√fan-in, as torch's layers.

        The output biases are the shared initial model: the hypernetwork starts around it.
        """
        import torch

        from fedgenbench.core.streams import stream

        draws = stream(seed, "pfedhn")
        width, clients = self.settings.width, len(shares)
        like = model[self.task.parameters[0]]
        embedding = 1 + clients // 4
        net = {"embedding": torch.from_numpy(draws.normal(size=(clients, embedding)))}
        fan_ins = [embedding, *[width] * (self.settings.hidden_layers + 1)]
        for layer, (rows, columns) in enumerate(pairwise(fan_ins)):
            bound = rows**-0.5
            for name, shape in (("weight", (columns, rows)), ("bias", columns)):
                net[f"hidden.{layer}.{name}"] = torch.from_numpy(
                    draws.uniform(-bound, bound, shape)
                )
        for name in self.task.parameters:
            shape = (model[name].numel(), width)
            net[f"{name}:weight"] = torch.from_numpy(
                draws.uniform(-(width**-0.5), width**-0.5, shape)
            )
            net[f"{name}:bias"] = model[name].flatten()
        net = {name: t.to(like) for name, t in net.items()}
        velocity = {name: torch.zeros_like(t) for name, t in net.items()}
        return {"model": model, "hypernetwork": net, "velocity": velocity}

    def generate(self, net: State, client: int, model: State) -> State:
        """θ_i of the client's embedding: linear, then ReLU and linear per hidden layer, then heads."""
        from torch.nn.functional import linear, relu

        z = net["embedding"][client]
        for layer in range(self.settings.hidden_layers + 1):
            z = z if layer == 0 else relu(z)
            z = linear(z, net[f"hidden.{layer}.weight"], net[f"hidden.{layer}.bias"])
        return {
            name: linear(z, net[f"{name}:weight"], net[f"{name}:bias"]).view(model[name].shape)
            for name in self.task.parameters
        }

    def shares(self, name: str) -> bool:
        return name in self.task.parameters  # buffers stay with the client

    def download(self, server: Slots, client: int) -> Slots:
        return {"model": self.generate(server["hypernetwork"], client, server["model"])}

    def aggregate(
        self, server: Slots, uploads: Slots, weights: Tensor, clients: list[int]
    ) -> Slots:
        """One server step per client, in client order, each with Δθ = θ sent − θ returned."""
        import torch

        settings, sent, model = self.settings, server["hypernetwork"], server["model"]
        net = {name: t.clone() for name, t in sent.items()}
        velocity = {name: t.clone() for name, t in server["velocity"].items()}
        for row, client in enumerate(clients):
            theta = self.generate(sent, client, model)
            change = [theta[name] - uploads["model"][name][row] for name in theta]
            leaves = {name: t.detach().requires_grad_() for name, t in net.items()}
            grads = torch.autograd.grad(
                list(self.generate(leaves, client, model).values()),
                list(leaves.values()),
                grad_outputs=change,
            )
            norm = torch.stack([grad.norm() for grad in grads]).norm()
            scale = (settings.clip / norm).clamp(max=1)
            for t, v, grad in zip(net.values(), velocity.values(), grads, strict=True):
                step = grad.mul_(scale).add_(t, alpha=settings.weight_decay)
                t.sub_(v.mul_(settings.momentum).add_(step), alpha=settings.lr)
        return server | {"hypernetwork": net, "velocity": velocity}

    def global_model(self, server: Slots) -> None:
        return None
