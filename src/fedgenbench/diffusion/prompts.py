"""Prompts of classes, and FGL's images, which come from prompts alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fedgenbench.diffusion.adapters import embedded
from fedgenbench.diffusion.settings import Prompting
from fedgenbench.diffusion.synthesis import Drawn, Shard, draw
from fedgenbench.rng import torch_seed


def class_prompts(template: str, classes: Sequence[str]) -> list[str]:
    """``template`` with each class for ``{label}``; underscores in a name become spaces."""
    return [template.format(label=name.replace("_", " ")) for name in classes]


def prompt_only(
    settings: Prompting,
    pipeline: Any,
    classes: Sequence[str],
    *,
    seed: int,
    folder: Path,
    identity: str,
    tell: Callable[[int, str], None],
) -> Drawn:
    """FGL's images (WarmFed sheet §4.1): the untouched base under each template and class.

    An image's style is the number of its template. Its noise depends on ``seed`` and the numbers of
    template, class and image alone; equal templates give different images. The rest as ``draw``.
    """
    shards = []
    for style, template in enumerate(settings.prompts.templates):
        embeddings = embedded(pipeline, class_prompts(template, classes))
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
