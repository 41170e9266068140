"""Tables, figures and the report from recorded results: ``fedgenbench report``.

Nothing is computed. What this machine has computed itself is compared with the records, and jobs that
nobody recorded, of a method or a data set of one's own, stand beside them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedgenbench.commands.plan import asked
from fedgenbench.commands.reproduced import Reproduced, compared
from fedgenbench.core.files import write_json
from fedgenbench.plan.collection import collection
from fedgenbench.plan.grid import Grid
from fedgenbench.plan.jobs import Job
from fedgenbench.systems.collecting import Collection, collected
from fedgenbench.systems.records import (
    joined,
    place_of,
    read_records,
    require_grid,
    require_seeds,
)


def make(scale: str | None = None) -> tuple[Path, Reproduced]:
    """Writes tables, figures and the report of a scale (None: that of params.yaml) into
    results/<scale>/from_records, and how many jobs were reproduced into results/<scale>/reproduced.json.

    Returns the report and the comparison.

    Raises:
        UserError: nothing was recorded, or in another schema, of another grid, or with seeds that the
            settings leave out.
    """
    from fedgenbench.systems.collected import results_of
    from fedgenbench.systems.figure_files import write_figures
    from fedgenbench.systems.report_files import Beside, write_report
    from fedgenbench.systems.table_files import write_tables

    grid = asked(scale, {})
    folder = Path("results", grid.settings.scale)
    recorded = read_records(place_of(grid.settings.scale))
    require_seeds(recorded[1], grid.settings.seeds)
    known = {name: entry["shown"] for name, entry in grid.experiment_notes.items()}
    require_grid(recorded[1], {name: {} for name in grid.absent} | known)
    found = compared(recorded[0], grid.jobs.values())
    write_json(
        folder / "reproduced.json",
        {
            "recorded": found.recorded,
            "reproduced": found.reproduced,
            "differing": found.differing,
            "others": found.others,
            "new": [job.key for job in found.new],
            "sentence": found.sentence,
        },
    )
    frames, context = recorded
    if found.new:
        frames, context = joined(recorded, _of_here(grid, found.new))
    results, made = results_of(frames, context), folder / "from_records"
    write_tables(results, made / "tables")
    write_figures(results, made / "figures")
    cards = list(context["cards"].values())
    beside = Beside(grid.settings.scale, made / "figures", cards, context["cuts"], found.sentence)
    write_report(results, beside, made / "report")
    return made / "report/report.html", found


def _of_here(grid: Grid, jobs: list[Job]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The jobs that nobody recorded, as records have theirs."""
    asked_for = Collection.read(collection(grid, jobs))
    frames, context = collected(asked_for)
    return frames, context | {"cards": dict(asked_for.cards)}
