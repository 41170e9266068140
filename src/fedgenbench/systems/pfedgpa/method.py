"""pFedGPA: a diffusion model over uploads generates each client's next model (Lai et al., AAAI 2025)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream
from fedgenbench.federated.method import Method
from fedgenbench.federated.types import Slots, State
from fedgenbench.systems.pfedgpa.settings import GeneratorSettings

if TYPE_CHECKING:
    from torch import Tensor

    from fedgenbench.systems.pfedgpa.buffer import ReplayBuffer
    from fedgenbench.systems.pfedgpa.vectors import Layout


# What the diffusion model is learnt for.
GENERATED = ("diffusion", "noise")


class PFedGPA(Method):
    """Algorithm 1: the server learns from the uploads, then inverts each one; FedAvg until round W.

    The server holds ``model`` (FedAvg's mean, of which clients receive what is not generated),
    ``generated`` (a row per client, [N, ...]), the ``buffer`` of uploads, the ``generator`` and the
    ``log`` of its last generation.
    """

    label = "pFedGPA"
    averages = False
    family = "personalised"
    source = "Lai et al. 2025, Algorithm 1; papers/pfedgpa.md §3, §8"

    class Settings(GeneratorSettings):
        warmup: int = Field(ge=0, description="Rounds W of FedAvg before the first generation.")
        others: Literal["averaged", "local"] = Field(
            description="What happens to the layers that are not generated."
        )
        generation: Literal["diffusion", "own", "mean", "noise", "stored"] = Field(
            description="Where a client's weights come from after the warm-up: the diffusion model; or, "
            "to see what generation is worth, in their place its own upload, FedAvg's mean, its own "
            "upload with noise as far as the diffusion model would have moved it, or the mean of its own "
            "stored uploads."
        )

        def fault(self, clients: int, rounds: int) -> str | None:
            if self.generation not in GENERATED:
                return None
            if self.warmup >= rounds:
                return f"warmup {self.warmup} leaves no round of {rounds} for generation"
            # A twin of the server's model learns without one of the clients.
            uploads = (clients - 1) * min(self.buffer, self.warmup + 1)
            if self.autoencoder == "linear" and uploads <= self.components:
                return (
                    f"components {self.components} need more uploads at the first fit than the "
                    f"{uploads} of {clients} clients but one: lower it, or lengthen warmup and buffer"
                )
            return None

    @cached_property
    def layout(self) -> Layout:
        """The generated tensors. ``UserError`` if a layer is unknown."""
        from fedgenbench.systems.pfedgpa.vectors import Layout

        return Layout.of(self.task.initial_state(), self.settings.layers)

    def init_server(self, model: State, shares: Tensor, seed: int) -> Slots:
        import torch

        count = len(shares)
        return {
            "model": model,
            "generated": {
                name: model[name].expand(count, *model[name].shape) for name in self.layout.pattern
            },
            "count": {"round": torch.tensor(0), "seed": torch.tensor(seed)},
        }

    def shares(self, name: str) -> bool:
        return name in self.layout.pattern or self.settings.others == "averaged"

    def download(self, server: Slots, client: int) -> Slots:
        generated = {name: t[client] for name, t in server["generated"].items()}
        return {"model": self._shared(server["model"]) | generated}

    def aggregate(
        self, server: Slots, uploads: Slots, weights: Tensor, clients: list[int]
    ) -> Slots:
        """Warm-up: FedAvg for everybody. Then only the clients that sent something receive anew."""
        import torch

        from fedgenbench.systems.pfedgpa.buffer import ReplayBuffer
        from fedgenbench.systems.pfedgpa.diagnostics import movement

        server = super().aggregate(server, uploads, weights, clients)
        count = server["count"] | {"round": server["count"]["round"] + 1}
        server |= {"count": count}
        vectors = self.layout.flatten(uploads["model"], clients)
        buffer = ReplayBuffer(self.layout, self.settings.buffer)
        if "buffer" in server:
            buffer = ReplayBuffer.load(self.layout, self.settings.buffer, server["buffer"])
        buffer.add(vectors.float(), clients)  # networks work in float32
        server |= {"buffer": buffer.state()}

        generated = server["generated"]
        if int(count["round"]) <= self.settings.warmup or self.settings.generation == "mean":
            mean = {name: server["model"][name].expand_as(t) for name, t in generated.items()}
            return server | {"generated": mean}
        made = vectors
        if self.settings.generation in GENERATED:
            made, news = self._generate(server, buffer, vectors.float(), clients)
            server |= news
        elif self.settings.generation == "stored":
            made = buffer.means(clients)
            log = movement(vectors.float(), made) | {"clients": torch.tensor(clients)}
            server |= {"log": log}
        return server | {"generated": _placed(generated, self.layout.restore(made), clients)}

    def _generate(
        self, server: Slots, buffer: ReplayBuffer, vectors: Tensor, clients: list[int]
    ) -> tuple[Tensor, Slots]:
        """Learns from the buffer, then inverts the uploads ``vectors`` [K, D].

        With ``generation`` "noise", what is made is an upload with noise that leads as far.
        """
        import torch

        from fedgenbench.systems.pfedgpa.diagnostics import movement, nearness, noised
        from fedgenbench.systems.pfedgpa.generator import Generator

        seed = int(server["count"]["seed"])
        if "generator" in server:
            generator = Generator.load(self.layout, self.settings, seed, server["generator"])
        else:
            generator = Generator(self.layout, self.settings, seed, vectors.device)
        log = {"loss": torch.tensor(generator.fit(buffer))}
        codes = generator.generate(generator.encode(vectors), clients)
        made = generator.decode(codes)
        if self.settings.generation == "noise":
            draws = generator.draws("noise", clients)
            made = noised(vectors, made, generator.normaliser.scale, draws)
            codes = generator.encode(made)
        log |= movement(vectors, made)
        log |= nearness(codes, buffer, generator.encode(buffer.vectors))
        log["clients"] = torch.tensor(clients)
        if "log" not in server:  # once: a twin costs as much as the first fit
            present = sorted(set(buffer.clients.tolist()))
            left_out = int(stream(seed, "pfedgpa", "held out").choice(present))
            found = generator.held_out(buffer, left_out)
            log |= {name: torch.tensor(value) for name, value in found.items()}
        return made, {"generator": generator.state(), "log": server.get("log", {}) | log}

    def audit(
        self, server: Slots, clients: Slots, right: Callable[[Slots, str], list[Tensor]]
    ) -> dict[str, Any]:
        """The diagnostics of papers/pfedgpa.md §8, last list but one; empty before the first generation.

        Per client: what generation changed (``diagnostics``), the test accuracy of
        what was ``generated`` and ``reconstructed`` in place of the trained models ``clients``, and the
        ``overlap`` of what generated and trained models get wrong.
        ``reconstruction`` is the share of training accuracy that the autoencoder leaves.

        Raises:
            UserError: that share is below the gate ``reconstruction``.
        """
        if "log" not in server:
            return {}
        from fedgenbench.core.answers import shares
        from fedgenbench.systems.pfedgpa.buffer import ReplayBuffer
        from fedgenbench.systems.pfedgpa.diagnostics import overlap
        from fedgenbench.systems.pfedgpa.generator import Generator

        seed, floor = int(server["count"]["seed"]), self.settings.reconstruction
        model = clients["model"]
        shared = {
            name: t.expand_as(model[name]) for name, t in self._shared(server["model"]).items()
        }
        entry: dict[str, Any] = {name: t.tolist() for name, t in server["log"].items()}
        generated = clients | {"model": model | shared | server["generated"]}
        answers = right(generated, "test")
        entry["generated"] = shares(answers)
        entry["overlap"] = overlap(answers, right(clients, "test"))
        if self.settings.autoencoder == "none" or "generator" not in server:
            return entry
        generator = Generator.load(self.layout, self.settings, seed, server["generator"])
        buffer = ReplayBuffer.load(self.layout, self.settings.buffer, server["buffer"])
        vectors, present = buffer.latest()
        rebuilt = clients | {
            "model": model
            | _placed(model, self.layout.restore(generator.rebuild(vectors)), present)
        }
        entry["reconstructed"] = shares(right(rebuilt, "test"))
        kept = sum(shares(right(rebuilt, "train"))) / sum(shares(right(clients, "train")))
        if kept < floor:
            raise UserError(
                f"the {self.settings.autoencoder} autoencoder leaves {100 * kept:.0f} % of the "
                f"clients' training accuracy, and `reconstruction` asks for {100 * floor:.0f} %: give "
                "it more autoencoder_steps or components, or lower the gate. What it loses would be "
                "taken for aggregation."
            )
        return entry | {"reconstruction": kept}

    def global_model(self, server: Slots) -> None:
        return None


def _placed(into: State, rows: State, clients: list[int]) -> State:
    """The tensors ``rows`` [K, ...] at their ``clients`` among those of all, [N, ...]."""
    import torch

    placed = {}
    for name, values in rows.items():
        index = torch.tensor(clients, device=values.device)
        placed[name] = into[name].index_copy(0, index, values)
    return placed
