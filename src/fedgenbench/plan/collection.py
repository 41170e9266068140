"""What is collected of a grid's jobs: all that tables, figures and the report are made from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fedgenbench.plan.grid import Grid
from fedgenbench.plan.jobs import Job
from fedgenbench.plan.notes import newcomer_main


def collection(grid: Grid, jobs: Iterable[Job] | None = None) -> dict[str, Any]:
    """The fields of ``systems.collecting.Collection`` for these jobs of a grid, or for all of it.

    Cards are paths: data sets need not be there yet.
    """
    whole: dict[str, Any] = {
        "scale": grid.settings.scale,
        "jobs": grid.listing(),
        "pictures": grid.pictures(),
        "experiments": grid.experiment_notes,
        "methods": grid.method_notes,
        "absent": grid.absent_notes,
        "newcomer_main": newcomer_main(grid),
        "confidence": grid.settings.confidence,
        "cards": grid.cards,
    }
    if jobs is None:
        return whole
    jobs = tuple(jobs)
    places, there = {job.folder for job in jobs}, {job.experiment for job in jobs}
    notes = {name: entry for name, entry in grid.experiment_notes.items() if name in there}
    used = {entry["dataset"] for entry in notes.values()}
    return whole | {
        "jobs": [entry for entry in whole["jobs"] if entry[-1] in places],
        "pictures": [each for each in whole["pictures"] if str(Path(each[-1]).parent) in places],
        "experiments": notes,
        "cards": {name: path for name, path in grid.cards.items() if name in used},
    }
