"""What a system is: one paper's method with its jobs, its block of settings and its part of the report.

A system is a folder beside this file. Its files have the same names in each: ``system.py`` says which
jobs there are, ``settings.py`` what they take, ``tables.py``, ``figures.py`` and ``section.py`` what a
report shows of them, ``claims.yaml`` and ``published.yaml`` what its paper says. Folders are found by
themselves; nothing outside of a folder names it. Loads nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedgenbench.core.settings import Strict

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class JobKind:
    """A kind of job, said once: paths, digest, rule, log, record and checkpoint follow.

    Args:
        name: of the rule, and the first part of a job's row in paths.
        run: ``package.module:function``, which takes a ``Context``; only the job itself imports it.
        outputs: name -> file in the job's folder, beside the metrics and the record that each has.
        inputs: name -> the output (or "metrics") that is taken of each job named so in ``Job.inputs``.
        partition: does it read who holds which images?
        gpu: does it want a GPU where there is one?
    """

    name: str
    run: str
    outputs: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    partition: bool = True
    gpu: bool = True

    @property
    def module(self) -> str:
        return self.run.partition(":")[0]


@dataclass(frozen=True)
class System:
    """One paper's system, or the field of baselines that all of them stand in.

    Args:
        name: of its folder, and of its block in an experiment.
        order: its place in reports.
        settings: the type of that block; None where it has none.
        kinds: its jobs.
        plan: adds an experiment's jobs in one repetition to a grid: (grid, experiment, seed).
    """

    name: str
    order: int
    kinds: tuple[JobKind, ...] = ()
    settings: type[Strict] | None = None
    plan: Callable[[Grid, str, int], None] | None = None


@cache
def systems() -> Mapping[str, System]:
    """All systems by name, in the order of reports."""
    found = [
        import_module(f"{__package__}.{path.parent.name}.system").SYSTEM
        for path in FOLDER.glob("*/system.py")
    ]
    return {system.name: system for system in sorted(found, key=lambda each: each.order)}


def modules(part: str) -> list[str]:
    """The modules ``part`` (such as "tables") of the systems that have one, in the order of reports."""
    return [
        f"{__package__}.{name}.{part}"
        for name in systems()
        if (FOLDER / name / f"{part}.py").exists()
    ]


def parts(part: str) -> Iterator[tuple[str, Any]]:
    """The same modules, imported, with the names of their systems."""
    for name in modules(part):
        yield name.split(".")[-2], import_module(name)


def files(name: str) -> dict[str, Path]:
    """The file ``name`` (such as "claims.yaml") of the systems that have it, by system."""
    return {
        system: FOLDER / system / name for system in systems() if (FOLDER / system / name).exists()
    }
