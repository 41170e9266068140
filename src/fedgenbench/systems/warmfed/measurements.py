"""What adapters, synthetic images, warm starts and the look at them say in numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from fedgenbench.core.measurements import Measurement, Measures

KINDS = ("adapter", "images", "prompts", "warm", "examined", "trials")
COLUMNS = ("experiment", "seed", "kind", "client", "name", "value")


def _numbers(*names: str) -> Callable[[Mapping[str, Any]], Iterator[Measurement]]:
    def said(metrics: Mapping[str, Any]) -> Iterator[Measurement]:
        for name in (*names, "wall_seconds"):
            yield Measurement(name, float(metrics[name]), client=metrics.get("client", -1))

    return said


def _of_an_adapter(metrics: Mapping[str, Any]) -> Iterator[Measurement]:
    yield from _numbers("images", "parameters", "adapter_bytes", "embedding_bytes")(metrics)
    client = metrics["client"]
    yield Measurement("classes", len(metrics["classes"]), client=client)
    yield from _ends([entry["loss"] for entry in metrics["history"]], client)


def _of_a_warm_start(metrics: Mapping[str, Any]) -> Iterator[Measurement]:
    yield from _numbers("images")(metrics)
    yield from _ends(metrics["losses"])


def _ends(losses: list[float], client: int = -1) -> Iterator[Measurement]:
    """The mean loss of the first and of the last tenth."""
    tenth = -(-len(losses) // 10)
    yield Measurement("first_loss", float(np.mean(losses[:tenth])), client=client)
    yield Measurement("last_loss", float(np.mean(losses[-tenth:])), client=client)


def _of_the_look(metrics: Mapping[str, Any]) -> Iterator[Measurement]:
    for row in metrics["rows"]:
        yield Measurement(row["name"], row["value"], row["kind"], row["client"])


def _of_trials(metrics: Mapping[str, Any]) -> Iterator[Measurement]:
    for row, values in metrics["rows"].items():
        for quantity, value in values.items():
            yield Measurement(quantity, float(value), row, metrics["client"])


MEASURES: Measures = {
    "adapter": _of_an_adapter,
    "images": _numbers("images", "seconds_per_image"),
    "prompts": _numbers("images", "seconds_per_image"),
    "warm": _of_a_warm_start,
    "examined": _of_the_look,
    "trials": _of_trials,
}


def _synthesis(measurements: pd.DataFrame) -> pd.DataFrame:
    """By kind, a warm start's with what its images are of, and that of what was examined or tried its
    own."""
    part = measurements[measurements["job"].isin(KINDS)]
    kind = part["job"].where(part["job"] != "warm", "warm_" + part["name"])
    kind = kind.where(~part["job"].isin(["examined", "trials"]), part["row"])
    part = part.assign(kind=kind, name=part["quantity"])
    return part[list(COLUMNS)].reset_index(drop=True)


FRAMES = {"synthesis": _synthesis}
