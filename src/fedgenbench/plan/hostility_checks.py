"""Rules of aggregation and poisoned clients that an experiment's methods or clients do not bear."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fedgenbench.federated.aggregation import TrimmedMean, trimmed
from fedgenbench.federated.method import method_class

if TYPE_CHECKING:
    from fedgenbench.plan.settings import Experiment, Settings


def hostility_faults(settings: Settings) -> Iterator[str]:
    """Of every experiment, as sentences."""
    for key, experiment in settings.experiments.items():
        clients, _, _ = settings.sizes_of(experiment)
        present = max(1, round(experiment.participation * clients))
        yield from _rules(f"experiments.{key}", experiment, settings, present)
        poisoned = experiment.poisoned
        if poisoned and poisoned.share and not round(poisoned.share * clients):
            yield (
                f"experiments.{key}.poisoned.share: {poisoned.share:g} of {clients} clients is none: "
                "raise it, or set it to 0"
            )


def _rules(where: str, experiment: Experiment, settings: Settings, present: int) -> Iterator[str]:
    for row in experiment.rows:
        variant = settings.variants.get(row)
        rule = (variant and variant.aggregation) or experiment.aggregation
        averages = method_class(variant.method if variant else row).averages
        for name, value in (("aggregation", rule), ("poisoned", experiment.poisoned)):
            if value and not averages:
                yield f"{where}.{name}: {row} averages no uploads: take it out, or leave {name} out"
        if isinstance(rule, TrimmedMean) and not trimmed(rule.trim, present):
            yield (
                f"{where}: {row}: aggregation.trim: {rule.trim:g} of {present} clients is none: raise it "
                f"to {1 / present:.2g} or more"
            )
