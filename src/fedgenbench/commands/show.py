"""What is behind a number of a report: cells of a table, a job, a claim; for a terminal."""

from __future__ import annotations

import csv
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from fedgenbench.core.errors import UserError
from fedgenbench.core.wording import counted, unknown
from fedgenbench.report.tables import names_of
from fedgenbench.systems.claims import stated

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid
    from fedgenbench.plan.jobs import Job


def shown(grid: Grid, name: str) -> str:
    """The text for a table's name, ``TABLE/ROW``, a job's digest or a claim's name.

    Raises:
        UserError: nothing is called so; it names what is near.
    """
    jobs = [job for job in grid.jobs.values() if job.digest == name]
    if jobs:
        return "\n".join(_job(job) for job in jobs)
    claims = {claim.entry.id: claim.entry for group in stated().values() for claim in group}
    if name in claims:
        entry = claims[name]
        test = yaml.safe_dump(entry.test.model_dump(exclude_none=True), sort_keys=False)
        return f"{entry.text}\n{entry.source} ({entry.status}), from {entry.scale} scale on\n{test}"
    table, _, row = name.partition("/")
    folder = Path("results", grid.settings.scale, "tables")
    tables = {path.stem: path for path in sorted(folder.glob("*.csv"))}
    if table not in tables:
        raise UserError(
            f"no table, job or claim at this scale: {unknown(table, [*tables, *claims])}"
        )
    with tables[table].open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    rows = dict.fromkeys(cell["row"] for cell in cells)
    if row and row not in rows:
        raise UserError(f"{table} has no such row: {unknown(row, list(rows))}")
    if not row:
        return "\n".join(map(_cell, cells))
    cells = [cell for cell in cells if cell["row"] == row]
    wanted = {(cell["experiment"], name) for cell in cells for name in cell["jobs"].split()}
    commands = [
        f"  snakemake {job.metrics}"
        for job in grid.jobs.values()
        if any((job.experiment, each) in wanted for each in names_of(job.kind.name, job.name))
    ]
    lines = [_cell(cell) for cell in cells]
    return "\n".join([*lines, *(["Jobs behind it:", *commands] if commands else [])])


def _cell(cell: dict[str, str]) -> str:
    place = " / ".join(filter(None, (cell["block"], cell["label"], cell["header"], cell["column"])))
    interval = f" [{float(cell['low']):.4g}, {float(cell['high']):.4g}]" if cell["low"] else ""
    seeds = f", {counted(int(cell['n']), 'seed')}" if cell["n"] not in ("", "0") else ""
    return f"{place}: {cell['text']} {cell['unit']}".rstrip() + interval + seeds


def _job(job: Job) -> str:
    state = "finished" if Path(job.metrics).is_file() else "not made yet"
    settings = yaml.safe_dump(job.settings, sort_keys=True, allow_unicode=True)
    return (
        f"{job.key}, digest {job.digest}, {state}\n  snakemake {job.metrics}\n"
        f"{textwrap.indent(settings, '  ')}"
    )
