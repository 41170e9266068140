"""What a grid needs from outside and does not find: told before work starts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from fedgenbench.data.sources import source_of
from fedgenbench.images.folder import means_folder

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid

# The programs that a kind of source is fetched with.
_PROGRAMS = {"debian": ("apt-get", "dpkg-deb"), "npm": ("npm",)}


def sections(grid: Grid, lacking: list[str]) -> list[list[str]]:
    """What is left out, what will be fetched, and what is ``lacking``: a title and its lines each."""
    parts = {
        "Left out:": left_out(grid),
        "To be fetched:": fetched(grid),
        "Missing:": lacking,
    }
    return [[title, *(f"  {line}" for line in lines)] for title, lines in parts.items() if lines]


def left_out(grid: Grid) -> list[str]:
    """The experiments that do not run, since their data set is not there."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in grid.absent.items():
        by_reason.setdefault(reason.splitlines()[0].rstrip(":"), []).append(name)
    return [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]


def fetched(grid: Grid) -> list[str]:
    """What a run will ask the network for."""
    found = [f"{name}: {_ways(name)}" for name in _absent_data(grid)]
    for source, where in _models(grid).items():
        if not means_folder(source) and not _cached(source):
            found.append(f"{source} ({where}): a model from the hub, several GB")
    return found


def missing(grid: Grid) -> list[str]:
    """What a run would die without, a sentence each with the way out."""
    found = []
    for name in _absent_data(grid):
        kinds = {source["kind"] for source in source_of(name)["sources"]} - {"placed"}
        absent = [
            each for kind in kinds for each in _PROGRAMS.get(kind, ()) if not shutil.which(each)
        ]
        if kinds and all(any(p in absent for p in _PROGRAMS.get(kind, ())) for kind in kinds):
            found.append(
                f"{', '.join(absent)}: {source_of(name)['title']} is fetched with it; install it, or put "
                f"the files into data/raw/{name} (docs/data.md)"
            )
    for source, where in _models(grid).items():
        if means_folder(source):
            if not os.path.isdir(os.path.expanduser(source)):
                found.append(
                    f"{source}: {where} names this folder; put the model there, or correct it"
                )
        elif os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") and not _cached(source):
            found.append(f"{source} ({where}): a model from the hub, and HF_HUB_OFFLINE is set")
    for name, experiment in grid.settings.experiments.items():
        for system, block in experiment.blocks.items():
            if _pending(grid, name, system):
                found += block.missing(f"experiments.{name}.{system}")
    return list(dict.fromkeys(found))


def _absent_data(grid: Grid) -> list[str]:
    """Data sets that are neither prepared nor, by the names of their files, in data/raw."""
    names = []
    for name, prepared in grid.used_data.items():
        files, raw = source_of(name)["files"], Path("data/raw") / name
        there = files and all((raw / file).is_file() for file in files)
        if not (
            there or "folder" in source_of(name) or Path(prepared.folder, "card.json").is_file()
        ):
            names.append(name)
    return names


def _ways(name: str) -> str:
    kinds = dict.fromkeys(source["kind"] for source in source_of(name)["sources"])
    return f"the data set, by {' or '.join(kind for kind in kinds if kind != 'placed')}"


def _models(grid: Grid) -> dict[str, str]:
    """Models that unfinished jobs load -> the key that names them."""
    named: dict[str, str] = {}
    for name, experiment in grid.settings.experiments.items():
        for system, block in experiment.blocks.items():
            if _pending(grid, name, system):
                for key, source in block.loaded().items():
                    named.setdefault(source, f"experiments.{name}.{system}.{key}")
    return named


def _pending(grid: Grid, experiment: str, system: str) -> bool:
    """Is a job of a system unfinished?"""
    return any(
        job.experiment in (experiment, grid.settings.experiments[experiment].dataset)
        and not Path(job.metrics).is_file()
        for job in grid.of_system(system)
    )


def _cached(source: str) -> bool:
    """Is a model of the hub in its cache?"""
    home = os.environ.get("HF_HOME") or os.path.expanduser("~/.cache/huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub"))
    return (hub / f"models--{source.replace('/', '--')}" / "snapshots").is_dir()
