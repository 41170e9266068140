"""What settings get wrong together, in one sentence each: the key, and the way out.

What a single value may be, its type in ``config`` or beside a method says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fedgenbench.core.settings import explain
from fedgenbench.core.wording import unknown
from fedgenbench.data.sources import HOW_TO_ADD, source_of, source_table
from fedgenbench.federated.method import METHODS, method_class
from fedgenbench.plan.hostility_checks import hostility_faults
from fedgenbench.plan.image_checks import image_faults
from fedgenbench.plan.model_checks import model_faults
from fedgenbench.plan.partition_checks import partition_faults
from fedgenbench.systems.base import Place, maker_of_images

if TYPE_CHECKING:
    from fedgenbench.plan.settings import Experiment, Settings


def faults(settings: Settings, overridden: Mapping[str, list[str]]) -> list[str]:
    """Everything that is wrong with ``settings`` of the right types, as sentences.

    ``overridden``: the methods that an experiment itself gives ``overrides`` of.
    """
    found = list(_unknown_names(settings))
    if found:  # what follows looks names up
        return found
    found += [*_titles(settings), *_method_settings(settings)]
    for key, experiment in settings.experiments.items():
        where = f"experiments.{key}"
        found += _idle_overrides(where, experiment, settings, overridden.get(key, []))
        for block in experiment.blocks.values():
            found += block.problems(Place(key, experiment, settings))
        found += _scores(where, experiment, settings)
    found += _forecast(settings)
    found += image_faults(settings)
    found += model_faults(settings)
    if found := found or list(partition_faults(settings)):
        return found
    return list(hostility_faults(settings)) or list(_rounds(settings))


# Names ---------------------------------------------------------------------------------------------
def _unknown_names(settings: Settings) -> Iterator[str]:
    """Names that lead nowhere, and what an experiment lacks for what it asks."""
    for name in settings.datasets:
        if name not in source_table():
            yield f"datasets: {unknown(name, source_table())}; one of yours: {HOW_TO_ADD}"
    for name in settings.methods:
        if name not in METHODS:
            yield f"methods: {unknown(name, METHODS)}"
    for name, variant in settings.variants.items():
        if name in METHODS:
            yield f"variants.{name}: a method has this name; choose another"
        if variant.method not in settings.methods:
            yield f"variants.{name}.method: {unknown(variant.method, settings.methods)}"
        elif (variant.subset or variant.images) and not method_class(variant.method).images:
            key = "subset" if variant.subset else "images"
            yield f"variants.{name}.{key}: {variant.method} uses no synthetic images; leave it out"
    for key, experiment in settings.experiments.items():
        yield from _experiment_names(f"experiments.{key}", experiment, settings)


def _experiment_names(where: str, experiment: Experiment, settings: Settings) -> Iterator[str]:
    if not (experiment.rows or experiment.blocks):
        yield f"{where}.methods: name one, or give it a paper's block, such as `fedlmg`"
    if experiment.dataset not in settings.datasets:
        fault = unknown(experiment.dataset, settings.datasets)
        yield f"{where}.dataset: {fault}; `datasets` has to name it"
    for name in experiment.methods:
        if name not in METHODS:
            yield f"{where}.methods: {unknown(name, METHODS)}"
        elif name not in settings.methods:
            yield f"{where}.methods: {name!r} has no settings under `methods`"
    for name in experiment.ablations:
        if name not in settings.variants:
            yield f"{where}.ablations: {unknown(name, settings.variants)}"
    for name in experiment.rows:
        known = name in METHODS or settings.variants.get(name)
        maker = maker_of_images().name
        if known and experiment.block(maker) is None and settings.images(name):
            yield f"{where}: {name} needs `{maker}`"
    for name in experiment.leave_one_out:
        if name not in experiment.rows:
            yield f"{where}.leave_one_out: {name!r} is none of its rows"
    if experiment.leave_one_out and experiment.partition.scheme != "domain":
        yield f"{where}.leave_one_out: needs partition.scheme: domain"
    if experiment.beside is not None and experiment.beside not in settings.experiments:
        yield f"{where}.beside: {unknown(experiment.beside, settings.experiments)}"
    for name in experiment.overrides:
        if name not in settings.methods:
            yield f"{where}.overrides: {unknown(name, settings.methods)}"
    if experiment.report_global and experiment.partition.scheme == "fedpac":
        # The same label mix in training and test is what that scheme is for.
        yield f"{where}.report_global: fedpac's test sets are personal"


def _titles(settings: Settings) -> Iterator[str]:
    """Two rows, or two tables, that nobody could tell apart."""
    seen: dict[str, str] = {}
    for key, experiment in settings.experiments.items():
        if (first := seen.setdefault(experiment.title, key)) != key:
            title = f"experiments.{key}.title: {experiment.title!r}"
            yield f"{title} is that of {first}, too: tables could not tell them apart"
        domains = experiment.leave_one_out and source_of(experiment.dataset)["facts"]["domains"]
        for domain in domains or ():
            if (name := f"{key}-without-{domain}") in settings.experiments:
                yield f"experiments.{name}: {key}.leave_one_out makes one of this name; choose another"
        rows: dict[tuple[str, str], str] = {}
        for name in experiment.ablations:
            variant = settings.variants[name]
            first = rows.setdefault((variant.method, variant.title), name)
            if first != name:
                yield f"variants.{name}.title: {variant.title!r} is that of {first}, too ({key})"


def _idle_overrides(
    where: str, experiment: Experiment, settings: Settings, own: list[str]
) -> Iterator[str]:
    rows = experiment.rows
    played = {
        settings.variants[name].method if name in settings.variants else name for name in rows
    }
    played |= experiment.blocks.keys()
    for name in own:
        if name not in played:
            known = ", ".join(sorted(played)) or "none"
            yield f"{where}.overrides.{name}: no row of it plays {name}; it plays {known}"


# Values --------------------------------------------------------------------------------------------
def _method_settings(settings: Settings) -> Iterator[str]:
    """What the methods' own types refuse: of `methods`, and as experiments play them."""

    def refused(name: str, values: dict[str, Any], *where: str) -> Iterator[str]:
        try:
            method_class(name).Settings.model_validate(values)
        except ValidationError as error:
            yield from (explain(item, where) for item in error.errors())

    for name, values in settings.methods.items():
        yield from refused(name, values, "methods", name)
    for key, experiment in settings.experiments.items():
        for name in experiment.rows:
            yield from refused(*settings.played(key, name), f"experiments.{key}: {name}")


def _scores(where: str, experiment: Experiment, settings: Settings) -> Iterator[str]:
    if experiment.score_on == "valid" and not experiment.partition.valid_fraction:
        yield f"{where}.score_on: valid needs a partition.valid_fraction above 0"
    rounds, every = experiment.rounds, experiment.evaluate_every
    evaluated = len({1, rounds, *range(every, rounds + 1, every)})
    wanted = settings.score_rounds_of(experiment)
    if experiment.rows and wanted > evaluated:
        yield (
            f"{where}.score_rounds: a score over {wanted} evaluations, of which {rounds} round(s) have "
            f"{evaluated}: set it to {evaluated} or fewer here, or raise rounds"
        )


def _forecast(settings: Settings) -> Iterator[str]:
    for name in set(settings.forecast.passes) - set(METHODS):
        yield f"forecast.passes: {unknown(name, METHODS)}"
    for key, experiment in settings.experiments.items():
        if experiment.model not in settings.forecast.seconds_per_1000_samples:
            yield f"forecast.seconds_per_1000_samples: no figure for {experiment.model!r} ({key})"


def _rounds(settings: Settings) -> Iterator[str]:
    """What methods and blocks would refuse, given an experiment's rounds and clients."""
    for key, experiment in settings.experiments.items():
        clients, _, _ = settings.sizes_of(experiment)
        present = max(1, round(experiment.participation * clients))
        for name in experiment.rows:
            method, values = settings.played(key, name)
            chosen = method_class(method).Settings.model_validate(values)
            if fault := chosen.fault(present, experiment.rounds):
                yield f"experiments.{key}: {name}: {fault}"
        for block in experiment.blocks.values():
            yield from block.client_problems(Place(key, experiment, settings))


def not_finite(tree: Any, prefix: str = "") -> Iterator[str]:
    """Places of infinite numbers and of those that are none, each with its value."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from not_finite(value, f"{prefix}{key}.")
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{prefix}{key} = {value}"
