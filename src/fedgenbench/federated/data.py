"""Client data on a device, and the order in which a client sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fedgenbench.rng import stream


@dataclass(frozen=True)
class FederatedData:
    """All rows once, and which of them each client holds.

    ``x`` is ``[N, H, W, C]`` float32, normalised (its permutation is the channels-last layout, twice
    as fast as the other on a CPU); ``y`` is ``[N]`` int64. ``train`` and ``test`` are row numbers per
    client. ``black`` ``[C]`` is the normalised value of a black pixel, the border of random crops;
    ``None`` switches augmentation off.
    """

    x: Tensor
    y: Tensor
    train: list[Tensor]
    test: list[Tensor]
    black: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        return self.x.shape[3], self.x.shape[1], self.x.shape[2]

    def pooled(self) -> FederatedData:
        """One training client that holds everybody's data; the test sets stay the clients'."""
        return replace(self, train=[torch.cat(self.train)])

    def images(self, rows: Tensor, draws: Tensor | None = None) -> Tensor:
        """``[..., C, H, W]`` for row numbers ``[...]``, augmented by ``draws`` ``[..., 3]`` if given."""
        # index_select copies whole images, plain indexing goes number by number.
        x = self.x.index_select(0, rows.flatten()).unflatten(0, rows.shape)
        if draws is not None:
            x = augment(x.flatten(0, -4), draws.flatten(0, -2), self.black).view(x.shape)
        return x.movedim(-1, -3)


def augment(x: Tensor, draws: Tensor, black: Tensor) -> Tensor:
    """Random crop after a black border of 4, and horizontal flip.

    ``x`` is ``[N, H, W, C]``; ``draws`` ``[N, 3]`` holds the crop's offsets (0 to 8) and the flip
    (0 or 1).
    """
    n, height, width, channels = x.shape
    padded = black.expand(n, height + 8, width + 8, channels).clone()
    padded[:, 4:-4, 4:-4] = x
    rows = draws[:, :1] + torch.arange(height, device=x.device)
    columns = torch.arange(width, device=x.device).expand(n, -1)
    columns = torch.where(draws[:, 2:] == 1, width - 1 - columns, columns) + draws[:, 1:2]
    index = torch.arange(n, device=x.device)[:, None, None]
    return padded[index, rows[:, :, None], columns[:, None, :]]


class BatchOrder:
    """The mini-batches of every client in one round, the same for every method and engine.

    Each (client, epoch) has its own named stream. The last batch of an epoch may be short; nothing
    is dropped.
    """

    def __init__(self, data: FederatedData, batch_size: int, seed: int, round_: int):
        self.data, self.batch_size, self.seed, self.round = data, batch_size, seed, round_

    def _draw(self, client: int, epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Positions ``[n]`` in the client's rows, and the augmentation draws ``[n, 3]`` or None."""
        address = (client, self.round, epoch)
        n = len(self.data.train[client])
        order = stream(self.seed, "batches", *address).permutation(n)
        if self.data.black is None:
            return order, None
        return order, stream(self.seed, "augment", *address).integers(0, [9, 9, 2], (n, 3))

    def epoch(self, client: int, epoch: int) -> tuple[Tensor, Tensor | None]:
        """Row numbers ``[n]`` in order, and the augmentation draws ``[n, 3]`` or None."""
        rows = self.data.train[client]
        order, draws = self._draw(client, epoch)
        return (
            rows[torch.from_numpy(order).to(rows.device)],
            None if draws is None else torch.from_numpy(draws).to(rows.device),
        )

    def steps(self, client: int, epochs: int) -> int:
        return epochs * -(-len(self.data.train[client]) // self.batch_size)

    def batches(self, client: int, epochs: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(x [B, C, H, W], y [B]) of one client, the last of an epoch possibly shorter."""
        for epoch in range(epochs):
            rows, draws = self.epoch(client, epoch)
            for start in range(0, len(rows), self.batch_size):
                part = slice(start, start + self.batch_size)
                x = self.data.images(rows[part], None if draws is None else draws[part])
                yield x, self.data.y[rows[part]]

    def stacked(
        self, clients: list[int], epochs: int
    ) -> Iterator[tuple[Tensor, Tensor, Tensor | None, Tensor | None]]:
        """The same batches for many clients at once, padded.

        Yields ``x`` [K, B, C, H, W], ``y`` [K, B], ``mask`` [K, B] (None if nothing is padded) and
        ``active`` [K] (None if all clients still train). A client's k-th batch is the k-th that
        ``batches`` gives it.
        """
        device, size = self.data.x.device, self.batch_size
        counts = np.array([self.steps(client, epochs) for client in clients])
        most = counts.max()
        # Filled on the CPU, moved once. Padding repeats a client's first sample.
        position = np.zeros((len(clients), most * size), np.int64)
        draws = np.zeros((*position.shape, 3), np.int64)
        mask = np.ones(position.shape, np.float32)
        for k, client in enumerate(clients):
            start = 0
            for epoch in range(epochs):
                order, drawn = self._draw(client, epoch)
                end = start + len(order)
                following = end + -len(order) % size
                position[k, start:end], position[k, end:following] = order, order[0]
                mask[k, end:following] = 0
                if drawn is not None:
                    draws[k, start:end] = drawn
                start = following
            position[k, start:], draws[k, start:] = position[k, 0], draws[k, 0]
        held = torch.nn.utils.rnn.pad_sequence(
            [self.data.train[client] for client in clients], batch_first=True
        )

        def table(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values).to(device)

        rows = held.gather(1, table(position)).unflatten(1, (most, size))
        draw_table = None
        if self.data.black is not None:
            draw_table = table(draws).unflatten(1, (most, size))
        mask_table = table(mask).unflatten(1, (most, size))
        full = mask.reshape(len(clients), most, size).all((0, 2))
        for step in range(most):
            active = step < counts
            r = rows[:, step]
            yield (
                self.data.images(r, None if draw_table is None else draw_table[:, step]),
                self.data.y[r],
                None if full[step] else mask_table[:, step],
                None if active.all() else table(active),
            )


def normalised(
    images: np.ndarray, mean: list[float], std: list[float], device: str | torch.device
) -> tuple[Tensor, Tensor]:
    """uint8 ``[N, H, W, C]`` to normalised float32 of the same shape, and a black pixel ``[C]``."""
    mean_t, std_t = torch.tensor(mean, device=device), torch.tensor(std, device=device)
    x = torch.from_numpy(np.ascontiguousarray(images)).to(device).to(torch.float32)
    return x.div_(255).sub_(mean_t).div_(std_t), -mean_t / std_t
