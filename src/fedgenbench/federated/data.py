"""Client data on a device, and the order in which a client sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from fedgenbench.core.streams import stream
from fedgenbench.federated.method import Phase
from fedgenbench.federated.types import Batch
from fedgenbench.models.layers import needs_two_images, require_two_images


@dataclass(frozen=True)
class FederatedData:
    """All rows once, and which of them each client holds.

    ``x`` is ``[N, H, W, C]`` float32, normalised (its permutation is the channels-last layout, twice
    as fast as the other on a CPU); ``y`` is ``[N]`` int64. ``train`` and ``test`` are row numbers per
    client. ``black`` ``[C]`` is the normalised value of a black pixel, the border of random crops;
    ``None`` switches augmentation off. ``synthetic`` are the rows of the synthetic images, if any.
    """

    x: Tensor
    y: Tensor
    train: list[Tensor]
    test: list[Tensor]
    black: Tensor | None = None
    synthetic: Tensor | None = None

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
            assert self.black is not None  # what is augmented is padded with it
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


SERVER = -1  # in the place of a client: the server, which trains on synthetic images


class BatchOrder:
    """The mini-batches of every client in one round, the same for every method and engine.

    Each (client, epoch) has its own named stream. The last batch of an epoch may be short; nothing
    is dropped, unless ``in_twos``: then a last batch of one image is, for models whose batch norm
    ``needs_two_images``.
    """

    def __init__(
        self,
        data: FederatedData,
        batch_size: int,
        seed: int,
        round_: int,
        in_twos: bool = False,
    ):
        self.data, self.batch_size, self.seed, self.round = data, batch_size, seed, round_
        self.in_twos = in_twos

    def held(self, client: int, phase: Phase) -> Tensor:
        """The row numbers that a phase passes over."""
        if phase.on == "private":
            return self.data.train[client]
        assert self.data.synthetic is not None, "a phase on synthetic images where there are none"
        return self.data.synthetic

    def _seen(self, client: int, phase: Phase) -> int:
        """How many of the rows held an epoch passes over."""
        count = len(self.held(client, phase))
        alone = self.in_twos and count % self.batch_size == 1
        return count - 1 if alone else count

    def _draw(
        self, client: int, phase: Phase, epoch: int
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Positions ``[n]`` in the rows held, and the draws for augmentation ``[n, 3]`` and of the
        Gumbel distribution ``[n, k]``, either of them None where nobody asks for it; n are seen."""
        address = (client, self.round, epoch)
        # The private streams have no prefix of their own: it would move every recorded number.
        kind = "" if phase.on == "private" else "synthetic-"
        n = len(self.held(client, phase))
        order = stream(self.seed, f"{kind}batches", *address).permutation(n)
        moves = gumbels = None
        if self.data.black is not None:
            moves = stream(self.seed, f"{kind}augment", *address).integers(0, [9, 9, 2], (n, 3))
        if phase.gumbels:
            drawn = stream(self.seed, "gumbel", *address).gumbel(size=(n, phase.gumbels))
            gumbels = drawn.astype(np.float32)
        seen = self._seen(client, phase)
        return (
            order[:seen],
            None if moves is None else moves[:seen],
            None if gumbels is None else gumbels[:seen],
        )

    def steps(self, client: int, phase: Phase) -> int:
        return phase.epochs * -(-self._seen(client, phase) // self.batch_size)

    def batches(self, client: int, phase: Phase) -> Iterator[Batch]:
        """The batches of one client, the last of an epoch possibly shorter."""
        rows, device = self.held(client, phase), self.data.x.device
        for epoch in range(phase.epochs):
            positions, *drawn = self._draw(client, phase, epoch)
            order = torch.from_numpy(positions).to(device)
            moves, gumbels = (
                None if part is None else torch.from_numpy(part).to(device) for part in drawn
            )
            for start in range(0, len(order), self.batch_size):
                part = slice(start, start + self.batch_size)
                chosen = rows[order[part]]
                yield Batch(
                    self.data.images(chosen, None if moves is None else moves[part]),
                    self.data.y[chosen],
                    row=order[part],
                    gumbel=None if gumbels is None else gumbels[part],
                )

    def stacked(self, clients: list[int], phase: Phase) -> Iterator[tuple[Batch, Tensor | None]]:
        """The same batches for many clients at once, stacked [K, B, ...] and padded.

        Yields them with ``active`` [K] (None if all clients still train). A client's k-th batch is
        the k-th that ``batches`` gives it; ``mask`` is None if nothing is padded.
        """
        device, size = self.data.x.device, self.batch_size
        counts = np.array([self.steps(client, phase) for client in clients])
        most = counts.max()
        # Filled on the CPU, moved once. Padding repeats a client's first sample.
        position = np.zeros((len(clients), most * size), np.int64)
        moves = np.zeros((*position.shape, 3), np.int64)
        gumbels = np.zeros((*position.shape, phase.gumbels), np.float32)
        mask = np.ones(position.shape, np.float32)
        for k, client in enumerate(clients):
            start = 0
            for epoch in range(phase.epochs):
                order, moved, drawn = self._draw(client, phase, epoch)
                end = start + len(order)
                following = end + -len(order) % size
                position[k, start:end], position[k, end:following] = order, order[0]
                mask[k, end:following] = 0
                if moved is not None:
                    moves[k, start:end] = moved
                if drawn is not None:
                    gumbels[k, start:end] = drawn
                start = following
            position[k, start:], moves[k, start:] = position[k, 0], moves[k, 0]
        held = torch.nn.utils.rnn.pad_sequence(
            [self.held(client, phase) for client in clients], batch_first=True
        )

        def table(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values).to(device).unflatten(1, (most, size))

        positions, masks = table(position), table(mask)
        rows = held.gather(1, positions.flatten(1)).unflatten(1, (most, size))
        move_table = None if self.data.black is None else table(moves)
        gumbel_table = table(gumbels) if phase.gumbels else None
        full: np.ndarray = np.all(mask.reshape(len(clients), most, size), axis=(0, 2))
        for step in range(most):
            active = step < counts
            r = rows[:, step]
            batch = Batch(
                self.data.images(r, None if move_table is None else move_table[:, step]),
                self.data.y[r],
                None if full[step] else masks[:, step],
                positions[:, step],
                None if gumbel_table is None else gumbel_table[:, step],
            )
            yield batch, None if active.all() else torch.from_numpy(active).to(device)


def in_twos(module: nn.Module, data: FederatedData, batch_size: int) -> bool:
    """Whether a last batch of one image has to be left out: ``needs_two_images`` of ``module``.

    Raises:
        UserError: then there would be no batch at all: of a client with one image, or with a
            ``batch_size`` of one.
    """
    if not needs_two_images(module, data.shape):
        return False
    for client, rows in enumerate(data.train):
        require_two_images(f"client {client}", "local.batch_size", len(rows), batch_size)
    if data.synthetic is not None:
        require_two_images("the server", "local.batch_size", len(data.synthetic), batch_size)
    return True


def normalised(
    images: np.ndarray, mean: list[float], std: list[float], device: str | torch.device
) -> tuple[Tensor, Tensor]:
    """uint8 ``[N, H, W, C]`` to normalised float32 of the same shape, and a black pixel ``[C]``."""
    mean_t, std_t = torch.tensor(mean, device=device), torch.tensor(std, device=device)
    x = torch.from_numpy(np.ascontiguousarray(images)).to(device).to(torch.float32)
    return x.div_(255).sub_(mean_t).div_(std_t), -mean_t / std_t
