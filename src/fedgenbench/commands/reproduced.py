"""Jobs that were computed here against the recorded ones: the same bytes, or where they part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import sha256_file
from fedgenbench.core.wording import counted
from fedgenbench.plan.jobs import Job
from fedgenbench.report.collect import ADDRESS, collect, read_jobs
from fedgenbench.systems.base import parts

KEYS = ("row", "client", "round", "step", "level", "quantity")


@dataclass
class Reproduced:
    """How the jobs here stand to the recorded ones.

    recorded: their number. reproduced: those whose metrics are here with the same bytes. differing:
    what has the same code and settings and other bytes, a sentence each. others: finished here with
    other code or settings than recorded. new: the finished jobs here that nobody recorded.
    """

    recorded: int
    reproduced: int = 0
    differing: list[str] = field(default_factory=list)
    others: int = 0
    new: list[Job] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """For the top of a report."""
        said = [
            f"From the recorded results of {counted(self.recorded, 'job')}; nothing was computed for it.",
            f"Reproduced here: {self.reproduced} of {self.recorded}, byte for byte.",
        ]
        if self.differing:
            said.append(
                f"Other bytes than recorded have {counted(len(self.differing), 'job')} here."
            )
        if self.others:
            said.append(
                f"{counted(self.others, 'job')} here of other code or settings stand aside for the "
                "recorded ones."
            )
        if self.new:
            said.append(
                f"{counted(len(self.new), 'job')} that were computed here stand beside the recorded ones."
            )
        return " ".join(said)


def compared(recorded: dict[str, pd.DataFrame], jobs: Iterable[Job]) -> Reproduced:
    """Looks at every finished job; changes nothing."""
    records = recorded["jobs"]
    known = {
        tuple(address): (digest, sha256)
        for *address, digest, sha256 in records[[*ADDRESS, "digest", "metrics_sha256"]].itertuples(
            index=False
        )
    }
    found = Reproduced(len(records))
    for job in jobs:
        if not (Path(job.metrics).is_file() and Path(job.file("run")).is_file()):
            continue
        address = (job.experiment, job.kind.name, job.name, job.seed, job.client)
        digest, sha256 = known.get(address, (None, None))
        if digest is None:
            found.new.append(job)
        elif digest != job.digest:
            found.others += 1
        elif sha256_file(job.metrics) == sha256:
            found.reproduced += 1
        else:
            found.differing.append(f"{job.key}: {_first_difference(recorded['measurements'], job)}")
    return found


def _first_difference(recorded: pd.DataFrame, job: Job) -> str:
    """Where a job's numbers part from the recorded ones: the first round, else the first quantity."""
    address = (job.experiment, job.kind.name, job.name, job.seed, job.client)
    try:
        read = list(read_jobs([(job.kind.name, *_of(job), job.digest, job.folder)]))
    except UserError as error:
        return str(error)
    said = {k: v for _, each in parts("measurements") for k, v in each.MEASURES.items()}
    here = collect(read, said, {}, "")["measurements"]
    there = recorded
    for column, value in zip(ADDRESS[:4], address[:4], strict=True):
        there = there[there[column] == value]
    both = there.merge(here, on=list(KEYS), how="outer", suffixes=("", "_here"))
    parted = both[both["value"] != both["value_here"]].dropna(
        how="all", subset=["value", "value_here"]
    )
    if parted.empty:
        return (
            "its numbers are the recorded ones, its answers to test images or its settings are not"
        )
    rounds = parted[parted["round"] >= 0]
    row = rounds.loc[rounds["round"].idxmin()] if len(rounds) else parted.iloc[0]
    where = f"first in round {row['round']}, " if len(rounds) else ""
    return f"{where}{row['quantity']} is {row['value_here']:.6g}, recorded {row['value']:.6g}"


def _of(job: Job) -> tuple[str, str, int, int]:
    return job.experiment, job.name, job.seed, job.client
