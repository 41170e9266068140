"""How good the model is: pictures, errors, and what a classifier learns from its images."""

from __future__ import annotations

import time
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from fedgenbench.core.streams import stream, torch_seed
from fedgenbench.data.dataset import Dataset
from fedgenbench.images.distances import (
    coverage,
    frechet_distance,
    kernel_distance,
    precision_recall,
)
from fedgenbench.images.inception import features
from fedgenbench.images.measures import (
    accuracy,
    copied_share,
    grid,
    nearest,
    outputs,
    trained_classifier,
)
from fedgenbench.images.pipeline import sample
from fedgenbench.images.pixels import reconstructed, to_bytes, to_tensor
from fedgenbench.systems.foundation.captions import STYLE_WORDS, class_prompt
from fedgenbench.systems.foundation.pool import Pool
from fedgenbench.systems.foundation.settings import Foundation, Sampler

BATCH = 32  # images in a training step of a classifier
PART = 256  # images at a time where nothing is learnt
INCEPTION = 500  # images of a set, at most, that the FID Inception sees
SAMPLED = 50  # images drawn at a time
COLUMNS = 10  # images per class in the pictures, at most


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
    training image, and the autoencoder's work, validation images beside what it gives back."""
    seen, unseen = pool.part(held_out=False), pool.part(held_out=True).of_a_class()
    shown = np.concatenate([images[labels == c][:columns] for c in np.unique(labels)])
    twins = seen.images[nearest(shown, seen.images)[1]]
    known = np.unique(unseen.labels)
    whole = np.concatenate([unseen.images[unseen.labels == c][:columns] for c in known])
    whole = whole[: len(whole) // columns * columns]
    given_back = to_bytes(reconstructed(vae, to_tensor(whole)).cpu())
    grid(shown, columns, folder / "samples.png")
    for name, pair in (("nearest", (shown, twins)), ("vae", (whole, given_back))):
        side_by_side = np.stack(pair, 1).reshape(-1, *images.shape[1:])
        grid(side_by_side, 2 * columns, folder / f"{name}.png")


def drawn(pipeline: Any, prompts: list[str], sampler: Sampler, *names: Any) -> np.ndarray:
    """An image uint8 [N, 32, 32, 3] for each prompt, from noise that ``names`` and its row decide."""
    return sample(
        pipeline,
        prompts,
        [torch_seed(*names, row) for row in range(len(prompts))],
        steps=sampler.steps,
        guidance=sampler.guidance,
        batch=SAMPLED,
    )


def style_sheet(pipeline: Any, settings: Foundation, classes: list[str], folder: Path) -> None:
    """``styles.png``: two images per class (a row each) and words for a kind of drawing."""
    prompts = [
        f"{class_prompt(label)}, {words}"
        for label in classes
        for words in STYLE_WORDS.values()
        for _ in range(2)
    ]
    images = drawn(pipeline, prompts, settings.sampler, settings.seed, "foundation", "styles")
    grid(images, 2 * len(STYLE_WORDS), folder / "styles.png")


def as_many(pool: Pool, settings: Foundation, per_class: int) -> Pool:
    """``per_class`` training images of each class, or all that there are, drawn as training draws."""
    weights = pool.weights(settings.shares)
    kept = np.zeros(len(weights), bool)
    for label in np.unique(pool.labels):
        rows = np.flatnonzero(pool.labels == label)
        odds = weights[rows] / weights[rows].sum()
        count = min(per_class, int((odds > 0).sum()))
        draws = stream(settings.seed, "foundation", "evidence", "real", int(label))
        kept[draws.choice(rows, count, replace=False, p=odds)] = True
    return pool.select(kept)


def inception_evidence(
    layers: nn.Module, sets: dict[str, np.ndarray], reference: np.ndarray
) -> dict[str, Any]:
    """Each set of images against ``reference``, by features of the FID Inception at 299 pixels.

    All are cut to the size of the smallest, at most ``INCEPTION``, as distances depend on it.
    """
    count = min(INCEPTION, len(reference), *map(len, sets.values()))

    def some(images: np.ndarray) -> Tensor:
        return features(layers, images[np.linspace(0, len(images) - 1, count).astype(int)])

    known = some(reference)
    found: dict[str, Any] = {"images": count}
    for name, images in sets.items():
        ours = some(images)
        precision, recall = precision_recall(known, ours)
        found[name] = {
            "frechet": frechet_distance(known, ours),
            "kernel": kernel_distance(known, ours),
            "precision": precision,
            "recall": recall,
            "coverage": coverage(known, ours),
        }
    return found


def evaluate(
    pipeline: Any,
    settings: Foundation,
    pool: Pool,
    dataset: Dataset,
    layers: nn.Module,
    folder: Path,
) -> dict[str, Any]:
    """All evidence on a trained pipeline; pictures go to ``folder``.

    A classifier is trained on generated images, another on as many real ones of the pool. Both are
    tested on real ones: held-out names of the pool, each counted as often as training would draw it,
    and the clients' training images, whose styles the model never saw. Test images are not touched.
    ``layers`` is the FID Inception (``images.inception``).
    """
    seen = pool.part(held_out=False).of_a_class()
    unseen = pool.part(held_out=True).of_a_class()
    classes, per_class = pool.classes[:-1], settings.evidence.per_class
    labels = np.repeat(np.arange(len(classes)), per_class)
    started = time.perf_counter()
    prompts = [class_prompt(classes[label]) for label in labels]
    images = drawn(pipeline, prompts, settings.sampler, settings.seed, "foundation", "evidence")
    seconds = (time.perf_counter() - started) / len(images)
    pictures(images, labels, pool, pipeline.vae, min(COLUMNS, per_class), folder)
    style_sheet(pipeline, settings, classes, folder)

    same_number = as_many(seen, settings, per_class)
    fake, real = (
        trained_classifier(x, y, len(classes), settings.evidence.epochs, settings.seed)
        for x, y in ((images, labels), (same_number.images, same_number.labels))
    )
    weights = unseen.weights(settings.shares)
    scores = {
        name: {
            "validation": accuracy(network, unseen.images, unseen.labels, weights),
            "clients": accuracy(network, dataset.train_images, dataset.train_labels),
        }
        for name, network in (("generated", fake), ("real", real))
    }
    scores["real"]["generated"] = accuracy(real, images, labels)
    odds = weights / weights.sum()
    rows = stream(settings.seed, "foundation", "evidence", "unseen").choice(len(odds), 1000, p=odds)
    compared = {
        "validation": unseen.images[np.unique(rows)],
        "generated": images,
        "clients": dataset.train_images,
    }
    reference = outputs(real, same_number.images)[1]
    return {
        "images": len(images),
        "real_images": len(same_number.images),
        "seconds_per_image": seconds,
        "accuracy_trained_on": scores,
        "kernel_distance_to_training": {
            name: kernel_distance(reference, outputs(real, part)[1])
            for name, part in compared.items()
        },
        "nearest_training_image": {
            "generated": float(np.median(nearest(images, seen.images)[0])),
            "validation": float(np.median(nearest(unseen.images, seen.images)[0])),
            "copied_share": copied_share(images, compared["validation"], seen.images),
        },
        "inception": inception_evidence(
            layers,
            {"generated": images, "validation": compared["validation"]},
            same_number.images,
        ),
        "autoencoder_psnr_db": {
            "validation": psnr(pipeline.vae, unseen.images),
            "clients": psnr(pipeline.vae, dataset.train_images),
        },
    }
