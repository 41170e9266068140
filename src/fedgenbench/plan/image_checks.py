"""Models and constants that do not suit the images of their data set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fedgenbench.data.sources import source_of
from fedgenbench.federated.method import method_class
from fedgenbench.models.limits import BATCH_NORM, LAYERS, PRETRAINED, SMALLEST

if TYPE_CHECKING:
    from fedgenbench.plan.settings import Experiment, Settings
    from fedgenbench.systems.fedlmg.experiment import FedLMG


def image_shape(dataset: str) -> tuple[int, int]:
    """Channels and edge in pixels of a prepared image."""
    spec = source_of(dataset)
    if "folder" in spec:
        return 3, spec["edge"]
    return (1, 28) if any("idx" in name for name in spec["files"]) else (3, 32)


def image_faults(settings: Settings) -> Iterator[str]:
    """Constants per channel, and what each experiment trains on its images."""
    for name, dataset in settings.datasets.items():
        channels, _ = image_shape(name)
        for key in ("mean", "std"):
            count = len(getattr(dataset, key))
            if count != channels:
                yield f"datasets.{name}.{key}: {count} value(s) for images of {channels} channel(s)"
    for key, experiment in settings.experiments.items():
        where = f"experiments.{key}"
        if experiment.rows or experiment.oneshot or experiment.newcomers:
            yield from _small(f"{where}.model", experiment.model, experiment.dataset)
            yield from _alone(f"{where}.local.batch_size", experiment.model, experiment.local)
            if experiment.synthesis:
                chosen = experiment.synthesis.warm_start
                place = f"{where}.synthesis.warm_start.batch_size"
                yield from _alone(place, experiment.model, chosen)
            yield from _layers(key, experiment, settings)
        if experiment.fedlmg:
            yield from _one_shot(f"{where}.fedlmg", experiment.fedlmg, experiment.dataset)


def _one_shot(where: str, chosen: FedLMG, dataset: str) -> Iterator[str]:
    parts = [
        (f"{where}.clients", name, chosen.clients) for name in dict.fromkeys(chosen.clients.models)
    ]
    for place, name, training in [*parts, (f"{where}.server", chosen.server.model, chosen.server)]:
        key = "model" if training is chosen.server else "models"
        yield from _small(f"{place}.{key}", name, dataset)
        yield from _alone(f"{place}.batch_size", name, training)
        if chosen.imagenet and name not in PRETRAINED:
            known = ", ".join(sorted(PRETRAINED))
            yield f"{where}.imagenet: {name} has no ImageNet weights: set it to null, or use {known}"


def _small(where: str, model: str, dataset: str) -> Iterator[str]:
    _, edge = image_shape(dataset)
    if edge < (least := SMALLEST.get(model, 1)):
        yield (
            f"{where}: {model} needs images of {least} pixels, those of {dataset} have {edge}: choose "
            "another model"
        )


def _alone(where: str, model: str, training) -> Iterator[str]:
    if training.batch_size == 1 and model in BATCH_NORM:
        yield (
            f"{where}: 1 image has no statistics for the batch norm of {model}: use 2 or more, or a "
            "model without it"
        )


def _layers(key: str, experiment: Experiment, settings: Settings) -> Iterator[str]:
    """Layers that pFedGPA is to generate and that the model lacks."""
    asked = [settings.played(key, name) for name in experiment.rows]
    if experiment.oneshot or experiment.newcomers:
        asked.append(settings.played(key, "pfedgpa"))
    known = LAYERS[experiment.model]
    for method, values in asked:
        if "layers" not in method_class(method).Settings.model_fields:
            continue
        for layer in values.get("layers", ()):
            module = str(layer).removesuffix(".weight").removesuffix(".bias")
            if module not in known:
                yield (
                    f"experiments.{key}: {method}.layers: {experiment.model} has no layer {layer!r}; it "
                    f"has {', '.join(name for name in known if '.' not in name)}"
                )
