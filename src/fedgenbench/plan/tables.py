"""Which jobs a single table is made from, by its name."""

from __future__ import annotations

from pathlib import Path

from fedgenbench.core.errors import UserError
from fedgenbench.core.wording import unknown
from fedgenbench.plan.grid import Grid
from fedgenbench.plan.jobs import Job
from fedgenbench.plan.selection import papers, papers_of


def jobs_of_table(grid: Grid, table: str) -> list[Job]:
    """The jobs of the experiments that a table shows, those that it builds on left out.

    A name begins with its paper's, if it is a paper's, and has the experiment's in it, if it is of one
    alone. Without either it is of all that have methods.

    Raises:
        UserError: there is no such table, as far as one knows before it is made.
    """
    paper = next((name for name in papers() if table.startswith(f"{name}_")), None)
    named = [name for name in grid.experiment_notes if name in table]
    recorded = {
        path.stem.removeprefix("measured_")
        for path in Path("results", grid.settings.scale, "tables").glob("*.csv")
    }
    if not named and recorded and table not in recorded:
        raise UserError(f"tables: {unknown(table, recorded, 5)}")
    bases = {
        name
        for name, experiment in grid.settings.experiments.items()
        if (paper in papers_of(experiment) if paper else bool(experiment.rows))
    }
    if named:  # the longest name: one may begin with another
        shown = {max(named, key=len)}
    else:
        notes = grid.experiment_notes
        shown = {name for name, entry in notes.items() if entry["shown"]["base"] in bases} | bases
    return [job for job in grid.jobs.values() if job.experiment in shown]
