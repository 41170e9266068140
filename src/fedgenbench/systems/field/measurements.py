"""What runs say in numbers, and the tables of it that reports are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from fedgenbench.core.measurements import Measurement, Measures

METRICS = ("personal", "start", "trained", "adapted", "global")
OF_A_RUN = ("bytes_up", "bytes_down", "bytes_up_once", "bytes_down_once")
SPENT = ("epsilon", "delta")  # of private runs alone
SCORE, ROUND, SERVER = "score", "round", "server"  # rows


def _of_a_run(metrics: Mapping[str, Any]) -> Iterator[Measurement]:
    """Scores, accuracies per round, what the server reports of itself, and what travelled."""
    for quantity, values in metrics["score"].items():
        yield from _by_client(quantity, values, SCORE)
    for entry in metrics["rounds"]:
        for quantity in METRICS:
            if quantity in entry:
                yield from _by_client(quantity, entry[quantity], ROUND, entry["round"])
        yield from _of_the_server(entry["round"], entry.get("server", {}))
    for quantity in OF_A_RUN:
        yield Measurement(quantity, metrics[quantity])
    if "epsilon" in metrics:  # of the client that has spent most
        for quantity, value in zip(SPENT, (max(metrics["epsilon"]), metrics["delta"]), strict=True):
            yield Measurement(quantity, value)
    refused = sum(len(entry.get("refused", {})) for entry in metrics["rounds"])
    yield Measurement("refused", refused)


def _by_client(
    quantity: str, values: list[float], row: str, round_: int = -1
) -> Iterator[Measurement]:
    """The plain mean over clients, then each client's."""
    for client, value in enumerate([float(np.mean(values)), *values], start=-1):
        yield Measurement(quantity, value, row, client, round_)


def _of_the_server(round_: int, audit: Mapping[str, Any]) -> Iterator[Measurement]:
    """A client's by its place in ``clients`` where that is said, or of none (-1)."""
    ids = audit.get("clients", ())
    for quantity, value in audit.items():
        if quantity == "clients":
            continue
        values = value if isinstance(value, list) else [value]
        # Accuracies are of all clients; what was generated is of those that took part.
        who = (
            [-1] if value is not values else ids if len(values) == len(ids) else range(len(values))
        )
        for client, number in zip(who, values, strict=True):
            yield Measurement(quantity, float(number), SERVER, client, round_)


MEASURES: Measures = {"federate": _of_a_run}


def _scores(measurements: pd.DataFrame) -> pd.DataFrame:
    return _renamed(measurements, SCORE, "metric").drop(columns="round")


def _rounds(measurements: pd.DataFrame) -> pd.DataFrame:
    return _renamed(measurements, ROUND, "metric")


def _server(measurements: pd.DataFrame) -> pd.DataFrame:
    return _renamed(measurements, SERVER, "name").drop(columns="domain")


def _renamed(measurements: pd.DataFrame, row: str, quantity: str) -> pd.DataFrame:
    part = measurements[(measurements["job"] == "federate") & (measurements["row"] == row)]
    part = part.drop(columns=["job", "row", "step", "level"])
    return part.rename(columns={"name": "method", "quantity": quantity}).reset_index(drop=True)


FRAMES = {"scores": _scores, "rounds": _rounds, "server": _server}


def runs(measurements: pd.DataFrame, jobs: pd.DataFrame) -> pd.DataFrame:
    """One row per run: its record, and what travelled."""
    part = measurements[(measurements["job"] == "federate") & (measurements["row"] == "")]
    sums = part.pivot(index=["experiment", "name", "seed"], columns="quantity", values="value")
    spent = [quantity for quantity in SPENT if quantity in sums]
    sums = sums.reindex(columns=[*OF_A_RUN, "refused", *spent]).reset_index()
    records = jobs[jobs["job"] == "federate"].drop(columns=["job", "client", "metrics_sha256"])
    runs = records.merge(sums, on=["experiment", "name", "seed"], validate="1:1")
    whole = dict.fromkeys(("refused", "rounds"), "int64")
    return runs.rename(columns={"name": "method"}).astype(whole)


FRAMES_OF_RECORDS = {"runs": runs}
