"""The mini-batches of clients that train with differential privacy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fedgenbench.core.streams import stream
from fedgenbench.federated.data import BatchOrder, FederatedData
from fedgenbench.federated.method import Phase
from fedgenbench.federated.types import Batch


class PoissonOrder(BatchOrder):
    """Batches to which each sample belongs with the same probability, independently of all others.

    An epoch has as many steps as one of shuffled batches, and as many samples on average. A batch may be
    empty: then it is one sample that does not count, and the step is noise alone. ``parameters`` is the
    number of the model's, for each of which a batch carries a standard normal.
    """

    def __init__(
        self, data: FederatedData, batch_size: int, seed: int, round_: int, parameters: int
    ):
        super().__init__(data, batch_size, seed, round_)
        self.parameters = parameters

    def batches(self, client: int, phase: Phase) -> Iterator[Batch]:
        rows, device = self.held(client, phase), self.data.x.device
        n = len(rows)
        expected = min(self.batch_size, n)
        for epoch in range(phase.epochs):
            address = (client, self.round, epoch)
            steps = -(-n // self.batch_size)
            members = stream(self.seed, "poisson", *address).random((steps, n)) < expected / n
            noises = stream(self.seed, "privacy", *address)
            augments = stream(self.seed, "augment", *address)
            for member in members:
                chosen = np.flatnonzero(member)
                mask = None if len(chosen) else self.data.x.new_zeros(1)
                position = torch.from_numpy(chosen if len(chosen) else np.zeros(1, np.int64))
                position = position.to(device)
                moves = None
                if self.data.black is not None:
                    drawn = augments.integers(0, [9, 9, 2], (len(position), 3))
                    moves = torch.from_numpy(drawn).to(device)
                noise = noises.standard_normal(self.parameters, np.float32)
                yield Batch(
                    self.data.images(rows[position], moves),
                    self.data.y[rows[position]],
                    mask,
                    position,
                    noise=torch.from_numpy(noise).to(self.data.x),
                    expected=self.data.x.new_tensor(float(expected)),
                )

    def stacked(self, clients: list[int], phase: Phase) -> Iterator[tuple[Batch, Tensor | None]]:
        counts = np.array([self.steps(client, phase) for client in clients])
        queues = [self.batches(client, phase) for client in clients]
        current: list[Batch] = [next(queue) for queue in queues]
        for step in range(counts.max()):
            if step:  # a client that is done keeps its last batch, of which nothing is kept
                current = [next(q, last) for q, last in zip(queues, current, strict=True)]
            active = step < counts
            there = None if active.all() else torch.from_numpy(active).to(self.data.x.device)
            yield _padded(current), there


def _padded(batches: list[Batch]) -> Batch:
    """Batches stacked [K, B, ...], B of the largest; padding has a zero mask."""

    def rows(name: str) -> Tensor:
        return pad_sequence([getattr(batch, name) for batch in batches], batch_first=True)

    masks = [b.x.new_ones(len(b.x)) if b.mask is None else b.mask for b in batches]
    noise, expected = (
        torch.stack([getattr(batch, name) for batch in batches]) for name in ("noise", "expected")
    )
    mask = pad_sequence(masks, batch_first=True)
    return Batch(rows("x"), rows("y"), mask, rows("row"), noise=noise, expected=expected)
