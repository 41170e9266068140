"""How good the model is: pictures, errors, and what a classifier learns from its images."""

from __future__ import annotations

import time
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedgenbench.data.dataset import Dataset
from fedgenbench.evaluation.distances import kernel_distance
from fedgenbench.foundation.captions import captions
from fedgenbench.foundation.images import to_bytes, to_tensor
from fedgenbench.foundation.pipeline import sample
from fedgenbench.foundation.pool import Pool
from fedgenbench.foundation.settings import Foundation
from fedgenbench.foundation.vae import reconstructed
from fedgenbench.models import build
from fedgenbench.rng import stream, torch_seed
from fedgenbench.runtime.files import atomic_path

BATCH = 32  # images in a training step of a classifier
SAMPLED = 50  # images drawn at a time
COLUMNS = 10  # images per class in the pictures, at most


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
    return network.eval()


@torch.no_grad()
def outputs(network: nn.Module, images: np.ndarray) -> tuple[Tensor, Tensor]:
    """Logits [N, classes] and features [N, F] of images uint8 [N, 32, 32, 3]."""
    parts = [network(part) for part in to_tensor(images).split(256)]
    return torch.cat([logits for logits, _ in parts]), torch.cat([found for _, found in parts])


def accuracy(network: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of images that get their label."""
    return float((outputs(network, images)[0].argmax(1).numpy() == labels).mean())


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


def psnr(network: Any, images: np.ndarray) -> float:
    """Mean signal-to-noise ratio in dB of images uint8 [N, 32, 32, 3] after the autoencoder."""
    original = to_tensor(images)
    error = (reconstructed(network, original).cpu() - original) ** 2
    # Pixels lie in [-1, 1]: the peak is 2.
    return float(np.mean([10 * log10(4 / max(e, 1e-10)) for e in error.mean((1, 2, 3)).tolist()]))


def pictures(
    images: np.ndarray, labels: np.ndarray, pool: Pool, vae: Any, columns: int, folder: Path
) -> None:
    """Three PNGs in ``folder``: ``columns`` samples per class, the same each beside its nearest
    training image, and the autoencoder's work, each validation image beside what it gives back."""
    seen, unseen = pool.part(held_out=False).images, pool.part(held_out=True).images
    shown = np.concatenate([images[labels == c][:columns] for c in range(len(pool.classes))])
    twins = seen[nearest(shown, seen)[1]]
    whole = unseen[: len(unseen) // columns * columns]
    given_back = to_bytes(reconstructed(vae, to_tensor(whole)))
    grid(shown, columns, folder / "samples.png")
    for name, pair in (("nearest", (shown, twins)), ("vae", (whole, given_back))):
        side_by_side = np.stack(pair, 1).reshape(-1, *images.shape[1:])
        grid(side_by_side, 2 * columns, folder / f"{name}.png")


def evaluate(
    pipeline: Any, settings: Foundation, pool: Pool, dataset: Dataset, folder: Path
) -> dict[str, Any]:
    """All evidence on a trained pipeline; pictures go to ``folder``.

    A classifier is trained on generated images of the public kind, another on the real training
    images. Both are tested on real ones: the pool's validation names, and the clients' training
    images, whose styles the model never saw. Test images are not touched.
    """
    seen, unseen = pool.part(held_out=False), pool.part(held_out=True)
    chosen, seed, classes = settings.evidence, settings.seed, len(pool.classes)
    labels = np.repeat(np.arange(classes), chosen.per_class)
    started = time.perf_counter()
    images = sample(
        pipeline,
        [captions(pool.classes[label], "")[0] for label in labels],
        [torch_seed(seed, "foundation", "evidence", i) for i in range(len(labels))],
        steps=settings.sampler.steps,
        guidance=settings.sampler.guidance,
        batch=SAMPLED,
    )
    seconds = (time.perf_counter() - started) / len(images)
    pictures(images, labels, pool, pipeline.vae, min(COLUMNS, chosen.per_class), folder)

    tests = {
        "validation": (unseen.images, unseen.labels),
        "clients": (dataset.train_images, dataset.train_labels),
    }
    real = trained_classifier(seen.images, seen.labels, classes, chosen.epochs, seed)
    fake = trained_classifier(images, labels, classes, chosen.epochs, seed)
    scores = {
        name: {part: accuracy(network, *test) for part, test in tests.items()}
        for name, network in (("generated", fake), ("real", real))
    }
    scores["real"]["generated"] = accuracy(real, images, labels)
    reference = outputs(real, seen.images)[1]
    compared = {
        "validation": unseen.images,
        "generated": images,
        "clients": dataset.train_images,
    }
    return {
        "images": len(images),
        "seconds_per_image": seconds,
        "accuracy_trained_on": scores,
        "kernel_distance_to_training": {
            name: kernel_distance(reference, outputs(real, part)[1])
            for name, part in compared.items()
        },
        "nearest_training_image": {
            "generated": float(np.median(nearest(images, seen.images)[0])),
            "validation": float(np.median(nearest(unseen.images, seen.images)[0])),
            "copied_share": copied_share(images, unseen.images, seen.images),
        },
        "autoencoder_psnr_db": {
            "validation": psnr(pipeline.vae, unseen.images),
            "clients": psnr(pipeline.vae, dataset.train_images),
        },
    }
