"""Which training images the seed draws, and which of a client's are set apart for validation."""

from __future__ import annotations

import hashlib

import numpy as np

from fedgenbench.core.errors import UserError
from fedgenbench.data.dataset import Dataset


def drawn_subjects(dataset: Dataset, share: float, seed: int) -> np.ndarray:
    """Which training images [n] belong to the first ``share`` of their class's subjects, in the order
    of a hash of seed and name: the choice rests on nothing else that is listed."""
    labels = dataset.train_labels
    drawn = np.ones(len(labels), bool)
    if share == 1:
        return drawn
    names = np.array(dataset.card.get("train_names") or [str(row) for row in range(len(labels))])
    for label in range(dataset.n_classes):
        rows = labels == label
        known = set(names[rows].tolist())
        order = sorted(known, key=lambda n: hashlib.sha256(f"{seed}/{n}".encode()).digest())
        kept = order[: max(1, round(share * len(order)))]
        drawn[rows] = np.isin(names[rows], kept)
    return drawn


def split_off(
    rows: np.ndarray, labels: np.ndarray, fraction: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spaced picks from the class-sorted rows: each class within one of its share."""
    order = generator.permutation(rows)
    order = order[np.argsort(labels[order], kind="stable")]
    # The small addend keeps 0.1 * 30 from rounding down to 2.
    steps = np.floor(np.arange(len(order) + 1) * fraction + 1e-9)
    picked = np.diff(steps) > 0
    if picked.all():
        raise UserError(
            "partition.valid_fraction leaves a client without training images: lower it"
        )
    return np.sort(order[~picked]), np.sort(order[picked])
