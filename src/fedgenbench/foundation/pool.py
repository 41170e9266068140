"""What the foundation model may see: training names in the public styles of EmojiDomains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fedgenbench.data.dataset import Dataset
from fedgenbench.data.prepare import is_test_name, name_hash
from fedgenbench.errors import UserError


@dataclass(frozen=True)
class Pool:
    """Public drawings: images uint8 [N, 32, 32, 3], and per image its class, name, style and row.

    ``rows`` number the public part of the prepared data set; ``held_out`` marks validation names,
    which no training step sees in any style.
    """

    classes: list[str]
    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    styles: list[str]
    rows: np.ndarray
    held_out: np.ndarray
    data_sha256: str

    def part(self, held_out: bool) -> Pool:
        """The validation images, or the training images."""
        kept = np.flatnonzero(self.held_out == held_out)
        return Pool(
            classes=self.classes,
            images=self.images[kept],
            labels=self.labels[kept],
            names=[self.names[i] for i in kept],
            styles=[self.styles[i] for i in kept],
            rows=self.rows[kept],
            held_out=self.held_out[kept],
            data_sha256=self.data_sha256,
        )

    def record(self) -> dict[str, Any]:
        """Every image in the pool as [row, style, name], and the data set's sha256."""
        listing = zip(self.rows.tolist(), self.styles, self.names, strict=True)
        return {"data_sha256": self.data_sha256, "images": [list(entry) for entry in listing]}


def public_pool(dataset: Dataset, holdout: int) -> Pool:
    """The public part of ``dataset``; every ``holdout``-th name, by hash, is for validation.

    Raises:
        UserError: the data set has no public part, or one with a client's style or a test name.
    """
    card = dataset.card
    if dataset.public_images is None:
        raise UserError(f"{dataset.name} has no public part to train a foundation model on")
    styles = [card["public_domains"][i] for i in dataset.public_domains]
    names = card["public_names"]
    leaks = {style for style in styles if style in card["domains"]}
    leaks |= {name for name in names if is_test_name(name)}
    if leaks:
        raise UserError(
            f"the public part of {dataset.name} holds what clients own or are tested on: "
            f"{', '.join(sorted(leaks))}. Prepare the data set again"
        )
    return Pool(
        classes=card["classes"],
        images=dataset.public_images,
        labels=dataset.public_labels,
        names=names,
        styles=styles,
        rows=np.arange(len(names)),
        # A third of all hashes, the multiples of three, are test names; ten divides the rest evenly.
        held_out=np.array([name_hash(name) % holdout == 0 for name in names]),
        data_sha256=card["sha256"],
    )
