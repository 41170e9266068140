"""Images of every client and class under the guidance of the client's classifier."""

from __future__ import annotations

from typing import Any

from fedgenbench.images.adapters import base_model
from fedgenbench.images.prompts import class_embeddings
from fedgenbench.systems.fedlmg.generation import dealt, generate
from fedgenbench.systems.fedlmg.settings import GuidedImagesSettings
from fedgenbench.systems.fedlmg.uploads import load, noised
from fedgenbench.systems.job import Context


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Writes the images, and apart those that pictures show; says what the guidance did."""
    settings = GuidedImagesSettings.model_validate(context.settings["drawn"])
    classes = context.classes
    (models,) = context.inputs["models"]
    uploads = [
        noised(upload, context.settings["upload_noise"], context.seed).frozen(context.device)
        for upload in load(models, len(classes)).values()
    ]
    pipeline = base_model(settings.base, context.device)
    generated = generate(
        settings,
        pipeline,
        uploads,
        class_embeddings(pipeline, settings.prompt, classes),
        seed=context.seed,
        checkpoint=context.checkpoint,
        tell=context.progress(
            sum(sum(counts.values()) for counts in dealt(settings, uploads, context.seed))
        ),
    )
    return generated.keep(context)
