"""Models and constants that do not suit the images of their data set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fedgenbench.data.sources import image_shape
from fedgenbench.federated.method import method_class
from fedgenbench.models.limits import alone, missing_layers, small

if TYPE_CHECKING:
    from fedgenbench.plan.settings import Settings


def image_faults(settings: Settings) -> Iterator[str]:
    """Constants per channel, and what each experiment's rounds train on its images."""
    for name, dataset in settings.datasets.items():
        channels, _ = image_shape(name)
        for key in ("mean", "std"):
            count = len(getattr(dataset, key))
            if count != channels:
                yield f"datasets.{name}.{key}: {count} value(s) for images of {channels} channel(s)"
    for key, experiment in settings.experiments.items():
        where, model = f"experiments.{key}", experiment.model
        if not experiment.trains_in_rounds:
            continue
        yield from small(
            f"{where}.model", model, experiment.dataset, image_shape(experiment.dataset)[1]
        )
        yield from alone(f"{where}.local.batch_size", model, experiment.local)
        for name in experiment.rows:
            method, values = settings.played(key, name)
            if "layers" in method_class(method).Settings.model_fields:
                layers = values.get("layers", ())
                yield from missing_layers(f"{where}: {method}.layers", model, layers)
