"""Synthetic images: drawn class by class, each class kept on disk as soon as it is done."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import atomic_path
from fedgenbench.images.adapters import embedded
from fedgenbench.images.memory import Batch
from fedgenbench.images.settings import Sampler


@dataclass(frozen=True)
class Shard:
    """Images of one class and style, which one file holds until all are drawn.

    ``embedding`` [L, D] is that of the prompt; there is one seed for each image.
    """

    name: str
    label: int
    style: int
    embedding: Tensor
    seeds: list[int]


@dataclass(frozen=True)
class GeneratedImages:
    """Images uint8 [n, H, W, 3], their labels and styles, int64 [n], and what it took.

    ``report`` has the seconds per image, also of shards from before a kill; how many shards this
    process drew, and how many of these because their file was damaged; and notes.
    """

    images: np.ndarray
    labels: np.ndarray
    style: np.ndarray
    report: dict[str, Any]


def draw(
    pipeline: Any,
    shards: Sequence[Shard],
    sampler: Sampler,
    resolution: int,
    *,
    folder: Path,
    identity: str,
    tell: Callable[[int, str], None],
) -> GeneratedImages:
    """The images of ``shards``, each shard written to ``folder`` when it is done.

    Shards that lie there are taken as they are, so a killed job draws at most one again. The
    negative prompt is the empty one. ``identity`` names everything that decides the images;
    ``tell`` gets the number of images that are there, and a note.

    Raises:
        UserError: a shard in ``folder`` is of another ``identity``, an image is not finite, or one
            image is too much for the GPU.
    """
    batch = Batch(sampler.batch, "drawing images")
    negative = embedded(pipeline, [""])
    parts, notes, seconds, drawn, redone = [], [], 0.0, 0, 0
    for shard in shards:
        path = folder / f"{shard.name}.safetensors"
        found = _read(path, identity) if path.exists() else None
        if found is None:
            if path.exists():
                redone += 1
                notes.append(f"{path.name} was damaged and its images were drawn anew")
                print(notes[-1], file=sys.stderr, flush=True)
            started = time.perf_counter()
            images = _images(pipeline, shard, negative, sampler, resolution, batch)
            found = images, time.perf_counter() - started
            _write(path, identity, *found)
            drawn += 1
        parts.append(found[0])
        seconds += found[1]
        tell(sum(map(len, parts)), shard.name)
    count = sum(map(len, parts))
    return GeneratedImages(
        images=np.concatenate(parts),
        labels=np.repeat([shard.label for shard in shards], list(map(len, parts))),
        style=np.repeat([shard.style for shard in shards], list(map(len, parts))),
        report={
            "seconds_per_image": seconds / count,
            "shards_drawn": drawn,
            "shards_redone": redone,
            "notes": notes + batch.notes,
        },
    )


def _images(
    pipeline: Any,
    shard: Shard,
    negative: Tensor,
    sampler: Sampler,
    resolution: int,
    batch: Batch,
) -> np.ndarray:
    """Images uint8 [n, H, W, 3] of one shard."""
    prompt = shard.embedding.to(negative)[None]

    def some(rows: slice) -> np.ndarray:
        seeds = shard.seeds[rows]
        images = pipeline(
            prompt_embeds=prompt.expand(len(seeds), -1, -1),
            negative_prompt_embeds=negative.expand(len(seeds), -1, -1),
            height=resolution,
            width=resolution,
            num_inference_steps=sampler.steps,
            guidance_scale=sampler.guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="np",
        ).images
        if not np.isfinite(images).all():
            raise UserError(
                f"{shard.name}: an image is not finite; set base.precision to bf16 or "
                "fp32, or lower lora.lr"
            )
        # In rows: the pipeline's arrays are transposed views, which safetensors writes as they lie.
        return (images * 255).round().astype(np.uint8, order="C")

    return np.concatenate(batch.over(len(shard.seeds), some))


def _write(path: Path, identity: str, images: np.ndarray, seconds: float) -> None:
    from safetensors.numpy import save_file

    facts = {"identity": identity, "seconds": seconds, "sha256": _sha256(images)}
    with atomic_path(path) as temporary:
        save_file({"images": images}, temporary, {"shard": json.dumps(facts)})


def _read(path: Path, identity: str) -> tuple[np.ndarray, float] | None:
    """Images and the seconds that they took, or None of a damaged file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            images, facts = file.get_tensor("images"), json.loads(file.metadata()["shard"])
    except (SafetensorError, KeyError, TypeError, ValueError):
        return None
    if facts["identity"] != identity:
        raise UserError(
            f"{path} belongs to {facts['identity']}, not to {identity}: delete {path.parent}"
        )
    return (images, facts["seconds"]) if facts["sha256"] == _sha256(images) else None


def _sha256(images: np.ndarray) -> str:
    return hashlib.sha256(images.tobytes()).hexdigest()
