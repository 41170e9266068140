"""What reports are made from, read back: the measurements as each system's tables take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pandas as pd

from fedgenbench.core.files import read_json
from fedgenbench.report.collect import with_measured
from fedgenbench.report.results import Results
from fedgenbench.report.store import unchanged
from fedgenbench.systems.base import parts

FRAMES = ("measurements", "measured", "jobs", "measured_jobs")


def read_results(folder: Path) -> Results:
    """What the collect rule left in ``folder``."""
    context = read_json(folder / "context.json")
    frames = with_measured({name: pd.read_parquet(folder / f"{name}.parquet") for name in FRAMES})
    # JSON files have sorted keys; tables follow the order of params.yaml.
    experiments, methods, absent = (
        {key: context[part][key] for key in context["order"][part]}
        for part in ("experiments", "methods", "absent")
    )
    shown = _shown(frames, context["hidden"])
    named = {field.name for field in fields(Results)}
    return Results(
        **{name: frame for name, frame in shown.items() if name in named},
        frames={name: frame for name, frame in shown.items() if name not in named},
        experiments=experiments,
        methods=methods,
        expected={(e, m, s): digest for e, m, s, digest in context["expected"]},
        confidence=context["confidence"],
        newcomer_main=context["newcomer_main"] and tuple(context["newcomer_main"]),
        absent=absent,
        pictures=[unchanged(entry) for entry in context["pictures"]],
    )


def _shown(frames: Mapping[str, pd.DataFrame], hidden: list[str]) -> dict[str, pd.DataFrame]:
    """The frames of all systems, without global accuracies of the ``hidden`` experiments."""
    measurements = frames["measurements"]
    hide = (measurements["quantity"] == "global") & measurements["experiment"].isin(hidden)
    measurements = measurements[~hide]
    shown = {
        name: view(measurements)
        for _, module in parts("measurements")
        for name, view in module.FRAMES.items()
    }
    of_records = {
        name: view(measurements, frames["jobs"])
        for _, module in parts("measurements")
        for name, view in getattr(module, "FRAMES_OF_RECORDS", {}).items()
    }
    return shown | of_records
