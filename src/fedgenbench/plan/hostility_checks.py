"""Rules of aggregation, poisoned clients and privacy that an experiment does not bear."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from fedgenbench.federated.aggregation import TrimmedMean, trimmed
from fedgenbench.federated.method import METHODS, method_class
from fedgenbench.models.limits import BATCH_NORM
from fedgenbench.models.registry import FederatedModel

if TYPE_CHECKING:
    from fedgenbench.plan.settings import Experiment, Settings


def hostility_faults(settings: Settings) -> Iterator[str]:
    """Of every experiment, as sentences."""
    for key, experiment in settings.experiments.items():
        clients, train, _ = settings.sizes_of(experiment)
        yield from _privacy(f"experiments.{key}", experiment, settings, train)
        present = max(1, round(experiment.participation * clients))
        yield from _rules(f"experiments.{key}", experiment, settings, present)
        poisoned = experiment.poisoned
        if poisoned and poisoned.share and not round(poisoned.share * clients):
            yield (
                f"experiments.{key}.poisoned.share: {poisoned.share:g} of {clients} clients is none: "
                "raise it, or set it to 0"
            )


def _privacy(where: str, experiment: Experiment, settings: Settings, train: int) -> Iterator[str]:
    for row in experiment.rows:
        privacy = settings.local_of(experiment, row).privacy
        if privacy is None:
            continue
        if experiment.model in BATCH_NORM:
            others = ", ".join(name for name in get_args(FederatedModel) if name not in BATCH_NORM)
            yield (
                f"{where}: {row}: privacy: {experiment.model} has batch norm, whose statistics are of "
                "many samples at once, so that no sample has a gradient of its own: choose a model "
                f"without, {others}"
            )
        if not method_class(settings.method_of(row)).private:
            able = ", ".join(name for name in METHODS if method_class(name).private)
            yield f"{where}: {row}: privacy: it sends more than private steps; those that do not: {able}"
        if privacy.delta >= 1 / train:
            yield (
                f"{where}: {row}: privacy.delta: {privacy.delta:g} lets a client of {train} images give "
                f"one away: set it below {1 / train:.1g}"
            )


def _rules(where: str, experiment: Experiment, settings: Settings, present: int) -> Iterator[str]:
    for row in experiment.rows:
        rule = settings.aggregation_of(experiment, row)
        averages = method_class(settings.method_of(row)).averages
        for name, value in (("aggregation", rule), ("poisoned", experiment.poisoned)):
            if value and not averages:
                yield f"{where}.{name}: {row} averages no uploads: take it out, or leave {name} out"
        if isinstance(rule, TrimmedMean) and not trimmed(rule.trim, present):
            yield (
                f"{where}: {row}: aggregation.trim: {rule.trim:g} of {present} clients is none: raise it "
                f"to {1 / present:.2g} or more"
            )
