"""The jobs behind the numbers: where they lie, what they were told, what they cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fedgenbench.report.results import Results
from fedgenbench.report.section import Section
from fedgenbench.report.tables import Cell, Column, Row, Table, names_of


def jobs_behind(
    results: Results, sections: Sequence[Section]
) -> dict[str, dict[str, list[list[Any]]]]:
    """Experiment -> name -> [seed, digest, folder] of the jobs behind the tables of ``sections``.

    Names are those of rows' ``behind``.
    """
    wanted = {
        (experiment, name)
        for section in sections
        for table in section.tables
        for row in table.rows
        for experiment in {row.experiment, *(column.experiment for column in table.columns)} - {""}
        for name in row.behind
    }
    known: dict[str, dict[str, list[list[Any]]]] = {}
    for job in _jobs(results).itertuples():
        for name in names_of(str(job.job), str(job.name)):
            if (job.experiment, name) in wanted:
                place = [job.seed, job.digest, job.folder]
                known.setdefault(str(job.experiment), {}).setdefault(name, []).append(place)
    return known


def _jobs(results: Results) -> pd.DataFrame:
    """The records of all jobs, a row each, with ``settings`` as JSON; empty where none was collected."""
    columns = ["experiment", "job", "name", "seed", "client", "digest", "folder", "settings"]
    return results.frames.get("jobs", pd.DataFrame(columns=columns))


def jobs_section(results: Results, titles: Mapping[str, str]) -> list[Section]:
    """Every job with what it was told and what it cost; nothing where none is known."""
    jobs = _jobs(results)
    if jobs.empty:
        return []
    usual = _usual(jobs)
    rows = []
    for job in jobs.sort_values(["experiment", "job", "name", "client", "seed"]).itertuples():
        cells = (
            Cell(job.digest),
            Cell(f"{job.wall_seconds:.1f}"),
            Cell(f"{job.peak_memory_bytes / 1e9:.2f}"),
            Cell(str(job.hardware)),
            Cell(str(job.started)[:16].replace("T", " ")),
            Cell(_differing(json.loads(job.settings), usual[job.job])),
        )
        label = job.folder.removeprefix("results/runs/").rpartition("-")[0].partition("/")[2]
        rows.append(Row(job.digest, label, cells, titles.get(job.experiment, job.experiment)))
    table = Table(
        "jobs",
        "All jobs. Settings: where they are not those of most jobs of the kind",
        (
            Column("Digest"),
            Column("Time", unit="s"),
            Column("Memory", unit="GB"),
            Column("Machine"),
            Column("Started"),
            Column("Settings"),
        ),
        tuple(rows),
        (
            "A job's folder is results/runs/<experiment>/<job>-<digest>; `snakemake FOLDER/metrics.json` "
            "makes it, `fedgenbench show DIGEST` prints all of its settings.",
        ),
        "Job",
    )
    return [Section("Every job", tables=[table])]


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted keys to values as text."""
    pairs: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            pairs |= flat(value, f"{prefix}{key}.")
        else:
            pairs[prefix + key] = json.dumps(value) if isinstance(value, list) else str(value)
    return pairs


def _usual(frame: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Kind of job -> the most frequent value of each setting."""
    counts: dict[str, dict[str, Counter[str]]] = {}
    for job in frame.itertuples():
        of_kind = counts.setdefault(job.job, {})
        for key, value in flat(json.loads(job.settings)).items():
            of_kind.setdefault(key, Counter())[value] += 1
    return {
        kind: {key: values.most_common(1)[0][0] for key, values in of_kind.items()}
        for kind, of_kind in counts.items()
    }


def _differing(settings: Mapping[str, Any], usual: Mapping[str, str]) -> str:
    differing = [
        f"{key}: {value}"
        for key, value in flat(settings).items()
        if usual.get(key) != value and len(value) < 60
    ]
    return "; ".join(differing)
