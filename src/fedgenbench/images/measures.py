"""What is measured of images: what a classifier learns from them, and how near they are to others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedgenbench.core.files import atomic_path
from fedgenbench.core.streams import stream, torch_seed
from fedgenbench.images.pixels import to_tensor
from fedgenbench.models import build
from fedgenbench.models.statistics import recalibrate

BATCH = 32  # images in a training step of a classifier
PART = 256  # images at a time where nothing is learnt


def grid(images: np.ndarray, columns: int, path: str | Path) -> None:
    """Writes images uint8 [N, H, W, 3] as a PNG, ``columns`` a row; N is a multiple of it."""
    from PIL import Image

    _, height, width, channels = images.shape
    rows = images.reshape(-1, columns, height, width, channels)
    sheet = rows.transpose(0, 2, 1, 3, 4).reshape(-1, columns * width, channels)
    with atomic_path(path) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")


def trained_classifier(
    images: np.ndarray, labels: np.ndarray, classes: int, epochs: int, seed: int
) -> nn.Module:
    """The clients' batch-norm CNN after ``epochs`` passes over images uint8 [N, 32, 32, 3].

    SGD as in the EmojiDomains experiment: rate 0.01, momentum 0.9, weight decay 1e-4, batches of 32.
    Its batch-norm statistics are those of the finished weights over all images.
    """
    network = build("bn_cnn", (3, *images.shape[1:3]), classes, torch_seed(seed, "weights"))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    x, y = to_tensor(images), torch.from_numpy(np.array(labels))
    network.train()
    for epoch in range(epochs):
        order = torch.from_numpy(stream(seed, "order", epoch).permutation(len(x)))
        for rows in order.split(BATCH):
            optimiser.zero_grad()
            F.cross_entropy(network(x[rows])[0], y[rows]).backward()
            optimiser.step()
    recalibrate(network, x.__getitem__, len(x))
    return network.eval()


@torch.no_grad()
def outputs(network: nn.Module, images: np.ndarray) -> tuple[Tensor, Tensor]:
    """Logits [N, classes] and features [N, F] of images uint8 [N, 32, 32, 3]."""
    parts = [network(part) for part in to_tensor(images).split(PART)]
    return torch.cat([logits for logits, _ in parts]), torch.cat([found for _, found in parts])


def accuracy(
    network: nn.Module, images: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Share of images that get their label; each counts by its weight where ``weights`` [N] are given."""
    right = outputs(network, images)[0].argmax(1).numpy() == labels
    return float(np.average(right, weights=weights))


def nearest(images: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Root mean squared pixel distance, in [0, 1], to the nearest image of ``known``, and its row.

    Both are uint8 [·, H, W, 3]; a mirrored image of ``known`` counts as the same.
    """
    flat = torch.from_numpy(images.reshape(len(images), -1) / 255)
    best = torch.full((len(images),), torch.inf, dtype=torch.float64)
    row = torch.zeros(len(images), dtype=torch.int64)
    for version in (known, known[:, :, ::-1]):
        distances = torch.cdist(flat, torch.from_numpy(version.reshape(len(known), -1) / 255))
        lowest, where = distances.min(1)
        row = torch.where(lowest < best, where, row)
        best = torch.minimum(best, lowest)
    return (best / flat.shape[1] ** 0.5).numpy(), row.numpy()


def copied_share(generated: np.ndarray, unseen: np.ndarray, known: np.ndarray) -> float:
    """Share of generated images nearer to a training image than 95 % of unseen real ones are.

    A model that draws like the artists and copies nothing has a share of about 0.05.
    """
    threshold = np.quantile(nearest(unseen, known)[0], 0.05)
    return float((nearest(generated, known)[0] < threshold).mean())
