"""Partitions that a data set cannot meet, found from its known class counts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter

from fedgenbench.core.errors import UserError
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import Scheme, make_partition
from fedgenbench.data.sources import source_of

if TYPE_CHECKING:
    from fedgenbench.plan.settings import Settings


def partition_faults(settings: Settings) -> Iterator[str]:
    """What partition jobs would refuse, and validation images that nobody gets."""
    for key, experiment in settings.experiments.items():
        scored = experiment.score_on == "valid"
        fault = _fault(
            experiment.dataset,
            settings.datasets[experiment.dataset].limit_per_class,
            experiment.partition.model_dump_json(),
            tuple(settings.seeds if scored else settings.seeds[:1]),
            scored,
        )
        if fault:
            yield f"experiments.{key}.{fault}"


@cache  # scales and experiments share partitions
def _fault(
    dataset: str, limit_per_class: int | None, scheme: str, seeds: tuple[int, ...], scored: bool
) -> str | None:
    """``scheme`` as JSON; ``scored``: are validation images wanted of each client?"""
    chosen = TypeAdapter(Annotated[Scheme, Field(discriminator="scheme")]).validate_json(scheme)
    labels = _labels(dataset, limit_per_class)
    clients, images = getattr(chosen, "clients", 1), len(labels.train_labels)
    if clients > images:
        fault = f"{clients} for {images} training images of {dataset}: lower it"
        return f"partition.clients: {fault}"
    for seed in seeds:
        try:
            dealt = make_partition(labels, chosen, seed)
        except UserError as error:
            return str(error)
        poor = [number for number, client in enumerate(dealt.clients) if not len(client.valid)]
        if scored and poor:
            return (
                f"partition.valid_fraction: {chosen.valid_fraction:g} of the "
                f"{len(dealt.clients[poor[0]].train)} training images of client {poor[0]} (seed {seed}) "
                "is no image to score on: raise it, or set score_on to test"
            )
    return None


def _labels(name: str, limit_per_class: int | None) -> Dataset:
    """A data set without images that has as many labels per class as the real one."""
    facts = source_of(name)["facts"]
    domains = facts.get("domains")
    limit = (limit_per_class or math.inf) * len(domains or [name])
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for part in ("train", "test"):
        counts = [int(min(count, limit)) for count in facts[part]]
        arrays[f"{part}_images"] = np.empty(0, np.uint8)
        arrays[f"{part}_labels"] = np.repeat(np.arange(len(counts)), counts)
        if domains:
            arrays[f"{part}_domains"] = np.arange(sum(counts)) % len(domains)
    card = {"name": name, "title": name, "classes": facts["train"], "domains": domains}
    return Dataset(card=card | {"sha256": ""}, **arrays)
