"""Jobs by kind: which there are, which are finished, what the rest costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from fedgenbench.core.errors import UserError
from fedgenbench.plan import needs
from fedgenbench.plan import settings as config
from fedgenbench.plan.forecast import block_seconds, seconds
from fedgenbench.plan.grid import PRODUCTS, Grid
from fedgenbench.plan.selection import require_known, select
from fedgenbench.systems.base import kinds, systems


@dataclass(frozen=True)
class Entry:
    """A job of the grid, by the file that stands for it.

    ``seconds``: its forecast on one CPU core, None where it has none of its own.
    """

    kind: str
    path: str
    seconds: float | None = None

    @property
    def finished(self) -> bool:
        return Path(self.path).is_file()


def asked(scale: str | None, only: Mapping[str, tuple[str, ...]], *, whole: bool = False) -> Grid:
    """The grid of a scale (None: the one that params.yaml names), or the part that ``only`` selects.
    With ``whole``, experiments are in it whose data set is not here.

    Raises:
        UserError: the settings are faulty, a name is unknown, or nothing is left of what is asked.
    """
    overrides: dict[str, Any] = {key: ",".join(names) for key, names in only.items() if names}
    chosen, scales = config.load(overrides=overrides | ({"scale": scale} if scale else {}))
    require_known(scales[chosen].only, scales)
    settings, in_vain = select(scales[chosen])
    if in_vain:
        raise UserError("\n".join(in_vain))
    grid = Grid(settings, select(scales["paper"])[0], whole=whole)
    grid.require_models()
    return grid


def jobs(grid: Grid) -> Iterator[Entry]:
    """All jobs of a grid, in the order of the workflow."""
    for name, prepared in grid.used_data.items():
        yield Entry("fetch", f"data/raw/{name}/SOURCE.json")
        yield Entry("prepare", f"{prepared.folder}/card.json")
    for part in grid.partitions.values():
        yield Entry("partition", part.path)
    for job in sorted(grid.jobs.values(), key=lambda job: list(kinds()).index(job.kind.name)):
        cost = seconds(grid, job) if job.kind.plain else None
        yield Entry(job.kind.name, job.metrics, cost)
    results = f"results/{grid.settings.scale}"
    for name in PRODUCTS:
        file = f"{name}-{grid.product_digest(name)}"
        collected = f"{results}/collected-{grid.product_digest('collect')}/context.json"
        yield Entry(name, collected if name == "collect" else f"{results}/{name}/{file}.json")


def shown(grid: Grid, paths: bool) -> str:
    """The jobs by kind, what is left out, fetched or missing, and, with ``paths``, each job's file."""
    by_kind: dict[str, list[Entry]] = {}
    for job in jobs(grid):
        by_kind.setdefault(job.kind, []).append(job)
    rows: list[list[Any]] = []
    for kind, group in by_kind.items():
        left = [job for job in group if not job.finished]
        costs = [job.seconds for job in left if job.seconds is not None]
        known = group[0].seconds is not None
        rows.append([kind, len(group), len(group) - len(left), sum(costs) / 60 if known else None])
    for system in systems().values():
        if together := _block_seconds(grid, system.name):
            names = ", ".join(kind.name for kind in system.kinds)
            rows.append([f"({names} together)", None, None, together / 60])
    totals = [sum(row[column] or 0 for row in rows) for column in (1, 2, 3)]
    table = tabulate(
        [*rows, ["all", *totals]],
        headers=["kind of job", "jobs", "finished", "core minutes left"],
        floatfmt=".1f",
        missingval="",
    )
    text = [f"FedGenBench, scale {grid.settings.scale}", "", table]
    for section in needs.sections(grid, needs.missing(grid)):
        text += ["", *section]
    if paths:
        for kind, group in by_kind.items():
            text += ["", f"{kind}:", *(f"{'+' if j.finished else ' '} {j.path}" for j in group)]
    return "\n".join(text)


def _block_seconds(grid: Grid, system: str) -> float:
    """Forecast of a system's jobs in repetitions that are not finished."""
    pending = {
        (job.experiment, job.seed)
        for job in grid.of_system(system)
        if job.experiment in grid.settings.experiments and not Path(job.metrics).is_file()
    }
    return sum(block_seconds(grid, name, system) for name, _ in pending)
