"""Synthetic images drawn with a client's adapter (WarmFed sheet §3.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import torch_seed
from fedgenbench.images.adapters import Adapter, attached, base_model, embedded
from fedgenbench.images.draw import GeneratedImages, Shard, draw
from fedgenbench.images.generated import save_images
from fedgenbench.systems.job import Context
from fedgenbench.systems.warmfed.settings import SamplingSettings


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Writes the images of one client; says how many there are and what they took."""
    settings = SamplingSettings.model_validate(context.settings["synthesis"])
    (path,) = context.inputs["adapter"]
    adapter = Adapter.load(path)
    drawn = synthesise(
        settings,
        base_model(settings.base, context.device),
        adapter,
        seed=context.seed,
        checkpoint=context.checkpoint,
        tell=context.progress(settings.per_class * len(adapter.classes)),
    )
    save_images(
        context.outputs["images"],
        drawn.images,
        drawn.labels,
        drawn.style,
        {"classes": {label: context.classes[label] for label in adapter.classes}},
    )
    content = {"client": adapter.client, "images": len(drawn.images)} | drawn.report
    return content, f"{len(drawn.images)} images drawn"


def synthesise(
    settings: SamplingSettings,
    pipeline: Any,
    adapter: Adapter,
    *,
    seed: int,
    checkpoint: Checkpoint,
    tell: Callable[[int, str], None],
) -> GeneratedImages:
    """``settings.per_class`` images with ``adapter`` for each of its classes (WarmFed sheet §3.2).

    The noise of an image depends on ``seed``, the client, the class and the image's number alone.
    The style of all is the client's number. ``checkpoint`` and ``tell`` as in ``draw``.

    Raises:
        UserError: the adapter is of another base model; or as ``draw``.
    """
    expected = embedded(pipeline, [""]).shape[1:]
    if adapter.embeddings.shape[1:] != expected:
        raise UserError(
            f"the adapter of client {adapter.client}: its prompt embeddings are "
            f"{list(adapter.embeddings.shape[1:])}, the base model's {list(expected)}; tune the "
            "client on this model"
        )
    shards = [
        Shard(
            name=f"client-{adapter.client}-class-{label}",
            label=label,
            style=adapter.client,
            embedding=embedding,
            seeds=[
                torch_seed(seed, "synthesis", "client", adapter.client, label, number)
                for number in range(settings.per_class)
            ],
        )
        for label, embedding in zip(adapter.classes, adapter.embeddings, strict=True)
    ]
    with attached(pipeline, adapter):
        return draw(
            pipeline,
            shards,
            settings.sampler,
            settings.base.resolution,
            checkpoint=checkpoint,
            tell=tell,
        )
