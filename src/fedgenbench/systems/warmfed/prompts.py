"""FGL's images, which come from prompts alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.streams import torch_seed
from fedgenbench.images.adapters import base_model
from fedgenbench.images.draw import GeneratedImages, Shard, draw
from fedgenbench.images.generated import save_images
from fedgenbench.images.prompts import class_embeddings
from fedgenbench.systems.job import Context
from fedgenbench.systems.warmfed.settings import PromptSettings


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Writes the images of all templates and classes; says how many there are and what they took."""
    settings = PromptSettings.model_validate(context.settings["synthesis"])
    prompts, classes = settings.prompts, context.classes
    drawn = prompt_only(
        settings,
        base_model(settings.base, context.device),
        classes,
        seed=context.seed,
        checkpoint=context.checkpoint,
        tell=context.progress(len(prompts.templates) * len(classes) * prompts.per_class),
    )
    save_images(
        context.outputs["images"],
        drawn.images,
        drawn.labels,
        drawn.style,
        {"classes": dict(enumerate(classes)), "templates": prompts.templates},
    )
    return {"images": len(drawn.images)} | drawn.report, f"{len(drawn.images)} images drawn"


def prompt_only(
    settings: PromptSettings,
    pipeline: Any,
    classes: Sequence[str],
    *,
    seed: int,
    checkpoint: Checkpoint,
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
        checkpoint=checkpoint,
        tell=tell,
    )
