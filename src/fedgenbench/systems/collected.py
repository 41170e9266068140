"""What reports are made from, read back: the measurements as each system's tables take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from fedgenbench.core.files import read_json
from fedgenbench.report.collect import with_measured
from fedgenbench.report.results import Results
from fedgenbench.report.store import unchanged
from fedgenbench.systems.base import kinds, parts

FRAMES = ("measurements", "measured", "jobs", "measured_jobs", "answers")


def read_results(folder: Path) -> Results:
    """What the collect rule left in ``folder``."""
    return results_of(*read(folder))


def read(folder: Path) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The frames and the context in ``folder``."""
    frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in FRAMES}
    return frames, read_json(folder / "context.json")


def results_of(frames: Mapping[str, pd.DataFrame], context: Mapping[str, Any]) -> Results:
    """Frames with their context as tables take them."""
    frames = with_measured(frames)
    # JSON files have sorted keys; tables follow the order of params.yaml.
    experiments, methods, absent = (
        {key: context[part][key] for key in context["order"][part]}
        for part in ("experiments", "methods", "absent")
    )
    measurements = frames["measurements"]
    hidden = measurements["experiment"].isin(context["hidden"])
    hidden &= measurements["quantity"] == "global"
    shown = views(measurements[~hidden], frames["jobs"])
    named = {field.name for field in fields(Results)}
    return Results(
        **{name: frame for name, frame in shown.items() if name in named},
        frames={name: frame for name, frame in shown.items() if name not in named}
        | {"jobs": _with_folders(frames["jobs"])},
        experiments=experiments,
        methods=methods,
        expected={(e, m, s): digest for e, m, s, digest in context["expected"]},
        confidence=context["confidence"],
        answers=frames["answers"],
        newcomer_main=context["newcomer_main"] and tuple(context["newcomer_main"]),
        absent=absent,
        pictures=[unchanged(entry) for entry in context["pictures"]],
    )


def _with_folders(jobs: pd.DataFrame) -> pd.DataFrame:
    """Jobs' records with the folders that they lie in."""
    known = kinds()
    folders = [
        f"results/runs/{job.experiment}/{known[str(job.job)].row(str(job.name))}"
        f"/seed{job.seed}-{job.digest}"
        for job in jobs.itertuples()
    ]
    return jobs.assign(folder=folders)


def views(measurements: pd.DataFrame, jobs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What all systems make of measurements and of jobs' records, by name."""
    frames: dict[str, pd.DataFrame] = {}
    for _, module in parts("measurements"):
        frames |= {name: view(measurements) for name, view in module.FRAMES.items()}
        of_records = getattr(module, "FRAMES_OF_RECORDS", {})
        frames |= {name: view(measurements, jobs) for name, view in of_records.items()}
    return frames
