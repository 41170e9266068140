"""What the server learns from: the last uploads of every client (papers/pfedgpa.md §8, row 11)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fedgenbench.core.errors import UserError
from fedgenbench.federated.types import State
from fedgenbench.systems.pfedgpa.vectors import Layout

JITTER = 0.001  # papers/pfedgpa.md §8, row 11


class ReplayBuffer:
    """The last ``capacity`` vectors of each client, in the order of client id, oldest first.

    ``vectors`` [M, D] and ``clients`` [M] int64, M the number of stored uploads.
    """

    def __init__(self, layout: Layout, capacity: int):
        self.layout, self.capacity = layout, capacity
        self.vectors = torch.empty(0, layout.width)
        self.clients = torch.empty(0, dtype=torch.int64)

    def add(self, vectors: Tensor, clients: Sequence[int]) -> None:
        """One new row of ``vectors`` [K, D] for each client; its oldest goes when it has too many.

        Raises:
            UserError: the vectors are of another architecture.
        """
        width = vectors.shape[1]
        if width != self.layout.width:
            raise UserError(
                f"the upload of client {clients[0]} has {width} numbers, the server's buffer holds "
                f"{self.layout.width}: all clients need the same model and the same generated layers."
            )
        owners = torch.cat([self.clients, torch.tensor(clients)])
        order = owners.argsort(stable=True)
        kept = [rows[-self.capacity :] for rows in order.split(owners.bincount().tolist())]
        rows = torch.cat(kept)
        joint = torch.cat([self.vectors.to(vectors), vectors.detach()])
        self.vectors, self.clients = joint[rows.to(joint.device)], owners[rows]

    def latest(self) -> tuple[Tensor, list[int]]:
        """The newest vector of each client [K, D], and the clients."""
        ids = self.clients.unique(sorted=True).tolist()
        last = self.clients.bincount().cumsum(0)[ids] - 1
        return self.vectors[last.to(self.vectors.device)], ids

    def means(self, clients: Sequence[int]) -> Tensor:
        """[K, D]: the plain mean of the stored vectors of each of ``clients``."""
        owned = [(self.clients == client).to(self.vectors.device) for client in clients]
        return torch.stack([self.vectors[rows].mean(0) for rows in owned])

    def first(self, count: int) -> ReplayBuffer:
        """The buffer with the ``count`` oldest stored vectors of each client alone."""
        place = torch.arange(len(self.clients)) - torch.searchsorted(self.clients, self.clients)
        return self._part(place < count)

    def without(self, client: int) -> ReplayBuffer:
        """The buffer as if ``client`` had never uploaded."""
        return self._part(self.clients != client)

    def _part(self, kept: Tensor) -> ReplayBuffer:
        """The rows where ``kept`` [M] is true."""
        part = ReplayBuffer(self.layout, self.capacity)
        part.vectors, part.clients = self.vectors[kept.to(self.vectors.device)], self.clients[kept]
        return part

    def state(self) -> State:
        """Tensors that say it all, ready for a safetensors file."""
        return {
            "vectors": self.vectors,
            "clients": self.clients,
            "layout": self.layout.signature,
        }

    @classmethod
    def load(cls, layout: Layout, capacity: int, state: State) -> ReplayBuffer:
        """The buffer that gave ``state``.

        Raises:
            UserError: it held models of another architecture.
        """
        if not torch.equal(state["layout"].cpu(), layout.signature):
            raise UserError(
                "the stored buffer of uploads is of another architecture (names, shapes or types of "
                "the generated tensors differ): start the run anew, or use the settings it began with."
            )
        buffer = cls(layout, capacity)
        buffer.vectors, buffer.clients = state["vectors"], state["clients"].cpu()
        return buffer


def draw(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """[count, D]: rows of ``rows`` [M, D] with replacement, each with Gaussian jitter.

    The jitter is in the units of ``rows``: with normalised ones, in standard deviations.
    """
    picks = torch.randint(len(rows), (count,), generator=generator)
    noise = torch.randn(count, rows.shape[1], generator=generator)
    return torch.add(rows[picks.to(rows.device)], noise.to(rows), alpha=JITTER)
