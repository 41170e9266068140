"""Recorded results that travel: what was collected, in few files that Git can hold.

A folder has the frames and the context of a collection, the pictures that it shows, and the cards of
its data sets, so that tables, figures and the report are made from it alone. The digests and checksums
of its jobs tell whether jobs that were computed elsewhere gave the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fedgenbench.core.digest import digest
from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json
from fedgenbench.core.measurements import COLUMNS
from fedgenbench.core.wording import counted
from fedgenbench.report.collect import ADDRESS, ANSWERS, RECORD_OF_JOBS
from fedgenbench.systems.collected import read
from fedgenbench.systems.collecting import write

MOST_BYTES = 20_000_000
PICTURES = "pictures"
Frames = dict[str, pd.DataFrame]
Facts = dict[str, Any]


def place_of(scale: str) -> Path:
    """Where a scale's recorded results lie."""
    return Path("results", scale, "records")


def schema() -> str:
    """Digest of the columns that recorded frames have."""
    return digest([list(COLUMNS), list(ANSWERS), list(RECORD_OF_JOBS)])


def write_records(
    folder: Path, frames: Frames, context: Facts, cards: Facts, cuts: Sequence[Mapping[str, str]]
) -> None:
    """Writes a collection, as ``collecting.collected`` gives it, with all that it shows.

    Raises:
        UserError: it would drop seeds of earlier records, or jobs of equal digests have other bytes
            there, or it is larger than ``MOST_BYTES``; nothing was written then.
    """
    seeds = sorted(int(seed) for seed in frames["jobs"]["seed"].unique())
    if (folder / "context.json").exists():
        _require_agreement(folder, frames["jobs"], seeds)
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    (new / PICTURES).mkdir(parents=True)
    pictures = []
    for entry in context["pictures"]:
        name = f"{PICTURES}/{entry['sha256'][:16]}{Path(entry['path']).suffix}"
        shutil.copyfile(entry["path"], new / name)
        pictures.append(entry | {"path": name})
    facts = {"schema": schema(), "seeds": seeds, "cards": cards, "cuts": list(cuts)}
    write(new, frames, context | facts | {"pictures": pictures})
    size = sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        shutil.rmtree(new)
        raise UserError(
            f"the records have {size / 1e6:.1f} MB, and Git is to hold {MOST_BYTES / 1e6:.0f}: record "
            "fewer experiments or seeds"
        )
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)


def _require_agreement(folder: Path, jobs: pd.DataFrame, seeds: Sequence[int]) -> None:
    """Refuses to replace records by fewer seeds, or by other bytes of the same jobs.

    Of another schema, jobs cannot be compared, and only the seeds are.
    """
    facts = read_json(folder / "context.json")
    require_seeds(facts, seeds)
    if facts.get("schema") != schema():
        return
    if others := changed(read_records(folder)[0]["jobs"], jobs):
        raise UserError(
            f"{folder} has other bytes of jobs with the same code and settings, and stays as it is:\n"
            + "".join(f"  {job}\n" for job in others[:8])
            + "Find out which of the two machines is at fault; to record anew, delete the folder"
        )


def read_records(folder: Path) -> tuple[Frames, Facts]:
    """What ``write_records`` wrote; pictures have their paths here.

    Raises:
        UserError: nothing was recorded, or in another schema.
    """
    if not (folder / "context.json").is_file():
        raise UserError(
            f"{folder} has no recorded results: `make record` writes them from finished runs, "
            "`make reproduce` computes"
        )
    frames, context = read(folder)
    if context.get("schema") != schema():
        raise UserError(
            f"{folder} was recorded in another schema (digest {context.get('schema')}, here {schema()}): "
            "take the code that it was recorded with, or `make reproduce` and `make record` anew"
        )
    pictures = [each | {"path": str(folder / each["path"])} for each in context["pictures"]]
    return frames, context | {"pictures": pictures}


def require_seeds(context: Facts, seeds: Sequence[int]) -> None:
    """Refuses seeds that leave out a recorded one."""
    if dropped := [seed for seed in context["seeds"] if seed not in seeds]:
        raise UserError(
            f"seeds: {', '.join(map(str, seeds))} drops {counted(len(dropped), 'recorded seed')}, "
            f"{', '.join(map(str, dropped))}: an interval over a part of the seeds is another one. Add "
            "them to `seeds` in params.yaml"
        )


def require_grid(context: Facts, experiments: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuses records of another grid: an experiment that settings have otherwise, or not at all.

    ``experiments`` are those of the settings, absent data sets included: id -> what tables say of it.
    """
    for name, entry in context["experiments"].items():
        if name not in experiments:
            raise UserError(
                f"the recorded experiment {name} is not in params.yaml: put it back, or record anew"
            )
        keys = ("dataset", "clients", "partition", "rounds", "local", "model", "role")
        own = experiments[name]
        if others := [key for key in keys if key in own and own[key] != entry[key]]:
            key = others[0]
            raise UserError(
                f"experiments.{name} is not what was recorded: its {key} is {own[key]!r}, recorded "
                f"{entry[key]!r}. Give the changed experiment a name of its own, or record anew"
            )


def changed(recorded: pd.DataFrame, jobs: pd.DataFrame) -> list[str]:
    """The jobs of equal address and digest whose metrics have other bytes, in words."""
    both = recorded.merge(jobs, on=[*ADDRESS, "digest"], suffixes=("", "_here"))
    rows = both[both["metrics_sha256"] != both["metrics_sha256_here"]]
    return [
        f"{row.experiment}, {row.job} {row.name_}, seed {row.seed}"
        for row in rows.rename(columns={"name": "name_"}).itertuples()
    ]


def joined(recorded: tuple[Frames, Facts], more: tuple[Frames, Facts]) -> tuple[Frames, Facts]:
    """Recorded results with others beside them, which have no job of the same address."""
    frames, context = recorded
    others, facts = more
    both = {
        name: pd.concat([frame, others[name]], ignore_index=True)
        if len(others[name])
        else frame.copy()
        for name, frame in frames.items()
    }
    merged = dict(context)
    for part in ("experiments", "methods", "absent", "cards"):
        merged[part] = facts[part] | context[part]
    run = set(both["jobs"]["experiment"])
    merged["absent"] = {name: each for name, each in merged["absent"].items() if name not in run}
    merged["experiments"] = {
        name: entry
        for name, entry in merged["experiments"].items()
        if name in context["experiments"] or name in run
    }
    merged["order"] = {
        part: [
            name
            for name in dict.fromkeys([*context["order"][part], *facts["order"][part]])
            if name in merged[part]
        ]
        for part in context["order"]
    }
    merged["expected"] = [*context["expected"], *facts["expected"]]
    merged["hidden"] = sorted({*context["hidden"], *facts["hidden"]})
    known = {each["experiment"] for each in context["pictures"]}
    new = [each for each in facts["pictures"] if each["experiment"] not in known]
    merged["pictures"] = [*context["pictures"], *new]
    return both, merged
