"""The images of a one-shot method that stands beside FedLMG: FGL, FedDISC or FedDEO."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fedgenbench.systems.fedlmg.baseline_settings import DRAWING
from fedgenbench.systems.fedlmg.settings import GuidedImagesSettings
from fedgenbench.systems.job import Context


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Writes the images, and apart those that pictures show; says what they took."""
    settings = GuidedImagesSettings.model_validate(context.settings["drawn"])
    dataset, partition = context.dataset, context.partition
    held = [len(set(dataset.train_labels[c.train].tolist())) for c in partition.clients]
    generated = import_module(f"fedgenbench.systems.fedlmg.{context.name}").images(
        settings,
        DRAWING[context.name].model_validate(context.settings["own"]),
        dataset,
        partition,
        context.device,
        seed=context.seed,
        checkpoint=context.checkpoint,
        tell=context.progress(settings.per_class * sum(held)),
    )
    return generated.keep(context)
