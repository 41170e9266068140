"""Synthetic images: drawn class by class, each class kept on disk as soon as it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
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
    process drew; and notes.
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
    checkpoint: Checkpoint,
    tell: Callable[[int, str], None],
) -> GeneratedImages:
    """The images of ``shards``, each shard kept in ``checkpoint`` when it is done.

    What lies there is taken as it is, so a killed job draws at most one again. The
    negative prompt is the empty one. ``tell`` gets the number of images that are there, and a note.

    Raises:
        UserError: a shard in ``checkpoint`` is of another identity, an image is not finite, or one
            image is too much for the GPU.
    """
    batch = Batch(sampler.batch, "drawing images")
    negative = embedded(pipeline, [""])
    parts, seconds, drawn = [], 0.0, 0
    for shard in shards:
        part = checkpoint.get(shard.name)
        if part is None:
            started = time.perf_counter()
            images = _images(pipeline, shard, negative, sampler, resolution, batch)
            part = {"images": images}, {"seconds": time.perf_counter() - started}
            checkpoint.put(shard.name, *part)
            drawn += 1
        parts.append(part[0]["images"])
        seconds += part[1]["seconds"]
        tell(sum(map(len, parts)), shard.name)
    count = sum(map(len, parts))
    return GeneratedImages(
        images=np.concatenate(parts),
        labels=np.repeat([shard.label for shard in shards], list(map(len, parts))),
        style=np.repeat([shard.style for shard in shards], list(map(len, parts))),
        report={
            "seconds_per_image": seconds / count,
            "shards_drawn": drawn,
            "notes": batch.notes,
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
