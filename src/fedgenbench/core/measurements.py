"""What jobs measured, in one tidy schema: a row per number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import nan
from typing import Any, NamedTuple

# A measurement's address, and its value. ``name`` tells jobs of a kind apart, ``domain`` is the
# client's, where clients are domains.
COLUMNS = {
    "experiment": "str",
    "job": "str",
    "name": "str",
    "seed": "int64",
    "row": "str",
    "client": "int64",
    "domain": "str",
    "round": "int64",
    "step": "int64",
    "level": "float64",
    "quantity": "str",
    "value": "float64",
}
# Quantities that come out otherwise the next time.
MEASURED = ("wall_seconds", "seconds_per_image", "client_seconds")


class Measurement(NamedTuple):
    """A number that a job says, and of what: a row of its metrics, a client, a round, a step, a level
    such as a strength. -1, and NaN for a level, where it is of none, or of all clients together.
    """

    quantity: str
    value: float
    row: str = ""
    client: int = -1
    round: int = -1
    step: int = -1
    level: float = nan


# The kind of a job -> what its metrics (with its record) say in numbers.
Measures = Mapping[str, Callable[[Mapping[str, Any]], Iterator[Measurement]]]
