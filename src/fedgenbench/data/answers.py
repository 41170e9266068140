"""Which images a job's models are scored on, and what its metrics say of their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fedgenbench.core.answers import KEY, digest_of_images
from fedgenbench.data.partition import Partition


def scored_images(partition: Partition, score_on: str) -> list[np.ndarray]:
    """Positions of the images that each client is scored on, in the order of its answers."""
    return [client.valid if score_on == "valid" else client.test for client in partition.clients]


def answers(
    rows: Mapping[str, str],
    partition: Partition,
    score_on: str = "test",
    clients: slice = slice(None),
) -> dict[str, Any]:
    """The entry of the metrics: name of a model -> its packed answers, and of which images they are.

    ``clients``: those whose models answered, where not all did.
    """
    images = scored_images(partition, score_on)[clients]
    digest = digest_of_images(f"{partition.data_sha256} {score_on}", images)
    sizes = [len(part) for part in images]
    return {KEY: {"rows": dict(rows), "images": sizes, "sha256": digest}}
