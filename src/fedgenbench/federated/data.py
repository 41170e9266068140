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
        x = self.x[rows]
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

    def epoch(self, client: int, epoch: int) -> tuple[Tensor, Tensor | None]:
        """Row numbers ``[n]`` in order, and the augmentation draws ``[n, 3]`` or None."""
        rows = self.data.train[client]
        address = ("batches", client, self.round, epoch)
        order = torch.from_numpy(stream(self.seed, *address).permutation(len(rows)))
        draws = None
        if self.data.black is not None:
            crops = stream(self.seed, "augment", *address[1:]).integers(
                0, [9, 9, 2], (len(rows), 3)
            )
            draws = torch.from_numpy(crops).to(rows.device)
        return rows[order.to(rows.device)], draws

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
        device = self.data.x.device
        size = self.batch_size
        rows, draws, mask = [], [], []
        for client in clients:
            for epoch in range(epochs):
                r, d = self.epoch(client, epoch)
                padding = -len(r) % size
                rows.append(torch.nn.functional.pad(r, (0, padding), value=int(r[0])))
                mask.append(torch.nn.functional.pad(torch.ones(len(r)), (0, padding)))
                if d is not None:
                    draws.append(torch.nn.functional.pad(d, (0, 0, 0, padding)))
        counts = [self.steps(client, epochs) for client in clients]
        most = max(counts)

        def table(pieces: list[Tensor]) -> Tensor:
            """[K, most, B, ...], clients with fewer steps padded at the end."""
            per_client = torch.cat(pieces).split([count * size for count in counts])
            padded = [
                torch.cat([p, p[:1].expand(most * size - len(p), *p.shape[1:])]) for p in per_client
            ]
            return torch.stack(padded).unflatten(1, (most, size))

        row_table, mask_table = table(rows), table(mask)
        draw_table = table(draws) if draws else None
        count = torch.tensor(counts)
        full = mask_table.flatten(2).all(2).all(0).tolist()
        mask_table = mask_table.to(device)
        for step in range(most):
            active = step < count
            r = row_table[:, step]
            x = self.data.images(r, None if draw_table is None else draw_table[:, step])
            yield (
                x,
                self.data.y[r],
                None if full[step] else mask_table[:, step],
                None if active.all() else active.to(device),
            )


def normalised(
    images: np.ndarray, mean: list[float], std: list[float], device: str | torch.device
) -> tuple[Tensor, Tensor]:
    """uint8 ``[N, H, W, C]`` to normalised float32 of the same shape, and a black pixel ``[C]``."""
    mean_t, std_t = torch.tensor(mean, device=device), torch.tensor(std, device=device)
    x = torch.from_numpy(np.ascontiguousarray(images)).to(device).to(torch.float32)
    return x.div_(255).sub_(mean_t).div_(std_t), -mean_t / std_t
