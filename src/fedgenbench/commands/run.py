"""One job of the grid in this process, without Snakemake: for a debugger, a profiler, a look."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.determinism import ENVIRONMENT
from fedgenbench.core.errors import UserError
from fedgenbench.core.gpu import lease
from fedgenbench.core.provenance import Stopwatch
from fedgenbench.core.wording import first_of
from fedgenbench.plan.grid import Grid
from fedgenbench.plan.jobs import Job
from fedgenbench.systems.job import Context, execute


def run(grid: Grid, name: str, output: Path | None) -> str:
    """Runs the job called ``name``, as ``experiment/row/seed0`` or as a file or folder of it.

    Its files go to its folder, as the workflow's do, or to ``output``, and what was there is replaced.

    Raises:
        UserError: no job has the name, or what it builds on is not there yet.
    """
    job = _job(grid, name)
    _require_inputs(job)
    os.environ.update(ENVIRONMENT)
    folder = Path(output or job.folder)
    kept = Path("results/checkpoints", job.kind.name, f"{job.key}-{job.digest}")
    watch = Stopwatch(kept)
    with lease(grid.settings.device) as device:
        context = Context(
            experiment=job.experiment,
            name=job.name,
            seed=job.seed,
            digest=job.digest,
            device=device,
            settings=job.settings,
            data=Path(job.data.folder),
            partition_file=Path(job.partition.path) if job.partition else None,
            inputs={key: [Path(f) for f in job.input_files(key)] for key in job.kind.inputs},
            outputs={key: folder / file for key, file in job.kind.files.items()},
            checkpoint=Checkpoint(kept, job.digest),
        )
        return execute(context, job.kind.run, watch)


def _job(grid: Grid, name: str) -> Job:
    by_key = {job.key: job for job in grid.jobs.values()}
    for job in grid.jobs.values():
        if name.rstrip("/") in (job.key, job.folder, job.metrics):
            return job
    close = difflib.get_close_matches(name, by_key, 3)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise UserError(f"no job is called {name!r}: {hint}`fedgenbench plan --paths` lists them all")


def _require_inputs(job: Job) -> None:
    wanted = [f"{job.data.folder}/card.json", *((job.partition.path,) if job.partition else ())]
    wanted += [file for key in job.kind.inputs for file in job.input_files(key)]
    if missing := [file for file in wanted if not Path(file).is_file()]:
        raise UserError(
            f"{job.key} builds on {first_of(missing, 3)}, which is not there yet: make it with "
            f"`snakemake --cores all {missing[0]}`"
        )
