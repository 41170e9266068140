"""What the server does with synthetic images: reads them, picks a subset, trains a model on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fedgenbench.core import artifacts
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream
from fedgenbench.data.dataset import Dataset
from fedgenbench.images.generated import load_images

KIND = "warm starts"


@dataclass(frozen=True)
class Synthetic:
    """Images uint8 [n, H, W, C] as the data set's, labels and styles int64 [n]."""

    images: np.ndarray
    labels: np.ndarray
    style: np.ndarray

    def part(self, rows: np.ndarray) -> Synthetic:
        return Synthetic(self.images[rows], self.labels[rows], self.style[rows])


def read(paths: Sequence[str | Path], dataset: Dataset) -> Synthetic:
    """The images of ``paths``, in their order, in the size and number of channels of ``dataset``.

    Raises:
        UserError: a label is none of the data set's.
    """
    parts = [load_images(path) for path in paths]
    images, labels, style = map(np.concatenate, zip(*parts, strict=True))
    if labels.max() >= dataset.n_classes:
        raise UserError(
            f"the synthetic images {', '.join(map(str, paths))} hold a class {labels.max()}, which "
            f"{dataset.name} lacks: delete them and run again"
        )
    return Synthetic(_like(images, dataset.train_images.shape[1:]), labels, style)


def _like(images: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Images [n, H, W, 3] as [n, *shape]; grey is the luminance."""
    from PIL import Image

    if images.shape[1:] == shape:
        return images
    height, width, channels = shape
    made = (
        Image.fromarray(image)
        .convert("L" if channels == 1 else "RGB")
        .resize((width, height), Image.Resampling.LANCZOS)
        for image in images
    )
    return np.stack([np.asarray(image) for image in made]).reshape(-1, *shape)


def subset(synthetic: Synthetic, share: float, seed: int) -> Synthetic:
    """S_sub (WarmFed sheet §4): the share of each style and class, at least one image of each."""
    kept = []
    for style, label in np.unique(
        np.stack([synthetic.style, synthetic.labels], 1), axis=0
    ).tolist():
        rows = np.flatnonzero((synthetic.style == style) & (synthetic.labels == label))
        count = max(1, round(share * len(rows)))
        order = stream(seed, "subset", style, label).permutation(len(rows))
        kept.append(np.sort(rows[order[:count]]))
    return synthetic.part(np.concatenate(kept))


def save_model(path: str | Path, model: dict[str, Tensor]) -> None:
    """Writes the tensors that ``warm_start`` gave."""
    artifacts.save(path, KIND, {name: t.numpy() for name, t in model.items()}, {})


def read_model(path: str | Path) -> dict[str, Tensor]:
    """What ``save_model`` wrote; ``UserError`` as of ``artifacts.load``."""
    arrays, _ = artifacts.load(path, KIND)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
