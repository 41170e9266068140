"""What generators of weights, and clients that join later, say in numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from fedgenbench.core.measurements import Measurement, Measures

WEIGHTS = ("experiment", "seed", "fit", "rule", "eta", "start", "metric", "client", "value")
NEWCOMERS = (
    *("experiment", "seed", "arm", "steps", "omega"),
    *("stage", "round", "client", "value"),
)


def _of_a_fit(metrics: Mapping[str, Any]) -> Iterator[Measurement]:
    for name in ("loss", "held_out_loss", "seen_loss", "held_out_error"):
        yield Measurement(name, metrics[name], "fit")
    for name, quantity in (("reconstructed", "reconstruction"), ("uploads", "upload")):
        for part, values in metrics[name].items():
            yield Measurement(f"{quantity}_{part}", float(np.mean(values)), "fit")


def _of_aggregates(metrics: Mapping[str, Any]) -> Iterator[Measurement]:
    for row in metrics["rows"]:
        place = {"row": row["rule"], "level": row["eta"], "step": row["start"]}
        for quantity in sorted(row.keys() - {"rule", "eta", "start"}):
            for client, value in enumerate(row[quantity]):
                yield Measurement(quantity, float(value), client=client, **place)


def _of_newcomers(metrics: Mapping[str, Any]) -> Iterator[Measurement]:
    """By arm, stage and round; arms without guidance have no steps and no strength."""
    for row in metrics["rows"]:
        yield Measurement(
            row["stage"],
            row["value"],
            row["arm"],
            row["client"],
            row["round"],
            -1 if row["steps"] is None else row["steps"],
            np.nan if row["omega"] is None else row["omega"],
        )


MEASURES: Measures = {"fit": _of_a_fit, "aggregate": _of_aggregates, "newcomers": _of_newcomers}


def _weights(measurements: pd.DataFrame) -> pd.DataFrame:
    part = measurements[measurements["job"].isin(["fit", "aggregate"])]
    names = {"name": "fit", "row": "rule", "level": "eta", "step": "start", "quantity": "metric"}
    part = part.rename(columns=names)[list(WEIGHTS)].reset_index(drop=True)
    return part.assign(start=part["start"].astype("float64").where(part["start"] >= 0))


def _newcomers(measurements: pd.DataFrame) -> pd.DataFrame:
    part = measurements[measurements["job"] == "newcomers"]
    names = {"row": "arm", "step": "steps", "level": "omega", "quantity": "stage"}
    part = part.rename(columns=names)[list(NEWCOMERS)]
    part = part.assign(steps=part["steps"].astype("float64").where(part["steps"] >= 0))
    keys = [column for column in NEWCOMERS if column not in ("client", "value")]
    means = part.groupby(keys, as_index=False, dropna=False)["value"].mean().assign(client=-1)
    return pd.concat([part, means], ignore_index=True)[list(NEWCOMERS)]


FRAMES = {"weights": _weights, "newcomers": _newcomers}
