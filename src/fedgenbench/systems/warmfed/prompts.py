"""FGL's images, which come from prompts alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fedgenbench.core.streams import torch_seed
from fedgenbench.images.draw import GeneratedImages, Shard, draw
from fedgenbench.images.prompts import class_embeddings
from fedgenbench.systems.warmfed.settings import PromptSettings


def prompt_only(
    settings: PromptSettings,
    pipeline: Any,
    classes: Sequence[str],
    *,
    seed: int,
    folder: Path,
    identity: str,
    tell: Callable[[int, str], None],
) -> GeneratedImages:
    """FGL's images (WarmFed sheet §4.1): the untouched base under each template and class.

    An image's style is the number of its template. Its noise depends on ``seed`` and the numbers of
    template, class and image alone; equal templates give different images. The rest as ``draw``.
    """
    shards = []
    for style, template in enumerate(settings.prompts.templates):
        embeddings = class_embeddings(pipeline, template, classes)
        for label, embedding in enumerate(embeddings):
            shards.append(
                Shard(
                    name=f"template-{style}-class-{label}",
                    label=label,
                    style=style,
                    embedding=embedding,
                    seeds=[
                        torch_seed(seed, "synthesis", "template", style, label, number)
                        for number in range(settings.prompts.per_class)
                    ],
                )
            )
    return draw(
        pipeline,
        shards,
        settings.sampler,
        settings.base.resolution,
        folder=folder,
        identity=identity,
        tell=tell,
    )
