"""What the server does with synthetic images: reads them, picks a subset, trains a model on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedgenbench.core import artifacts
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream, torch_seed
from fedgenbench.data.dataset import Dataset
from fedgenbench.federated.data import normalised
from fedgenbench.images.generated import load_images
from fedgenbench.models import build
from fedgenbench.models.layers import needs_two_images, require_two_images

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


def warm_start(
    settings: dict[str, Any], synthetic: Synthetic, classes: int, device: str, tell: Any
) -> tuple[dict[str, Tensor], list[float]]:
    """θ_g^0 (WarmFed sheet §3.1): a model trained from scratch on synthetic images alone.

    ``settings`` are those of a grid's study of kind "warm". The initial weights are the ones that
    all methods of the repetition share. Returns the model's tensors and the mean loss per epoch;
    the last epoch's model, with no choice among them.
    """
    chosen, seed = settings["warm_start"], settings["seed"]
    x, _ = normalised(synthetic.images, settings["mean"], settings["std"], device)
    x, y = x.movedim(-1, -3), torch.from_numpy(synthetic.labels).to(device)
    weights = torch_seed(seed, "weights", settings["model"])
    model = build(settings["model"], tuple(x.shape[1:]), classes, weights).to(device).train()
    optimiser = torch.optim.SGD(
        model.parameters(),
        **{name: chosen[name] for name in ("lr", "momentum", "weight_decay")},
    )
    in_twos, losses = needs_two_images(model, tuple(x.shape[1:])), []
    if in_twos:
        key = "synthesis.warm_start.batch_size"
        require_two_images("the warm start", key, len(x), chosen["batch_size"])
    for epoch in range(chosen["epochs"]):
        order = torch.from_numpy(stream(seed, "warm start", epoch).permutation(len(x))).to(device)
        total = 0.0
        for rows in order.split(chosen["batch_size"]):
            if in_twos and len(rows) == 1:
                continue
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x[rows])[0], y[rows])
            loss.backward()
            optimiser.step()
            total += loss.item() * len(rows)
        losses.append(total / len(x))
        tell(epoch + 1, f"loss {losses[-1]:.3f}")
    if not np.isfinite(losses).all():
        raise UserError("the warm start diverged: lower synthesis.warm_start.lr")
    return {name: tensor.cpu() for name, tensor in model.state_dict().items()}, losses


def save_model(path: str | Path, model: dict[str, Tensor]) -> None:
    """Writes the tensors that ``warm_start`` gave."""
    artifacts.save(path, KIND, {name: t.numpy() for name, t in model.items()}, {})


def read_model(path: str | Path) -> dict[str, Tensor]:
    """What ``save_model`` wrote; ``UserError`` as of ``artifacts.load``."""
    arrays, _ = artifacts.load(path, KIND)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
