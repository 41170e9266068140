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
from typing import TYPE_CHECKING, Any, ClassVar

from fedgenbench.core.settings import Strict

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid
    from fedgenbench.plan.jobs import Job
    from fedgenbench.plan.settings import Experiment, Settings

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
        pictures: outputs that reports show, or draw from.
        plain: is a job's name alone its row? So are those of methods, which have one kind.
    """

    name: str
    run: str
    outputs: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    partition: bool = True
    pictures: tuple[str, ...] = ()
    plain: bool = False

    @property
    def module(self) -> str:
        return self.run.partition(":")[0]

    @property
    def files(self) -> dict[str, str]:
        """All that a job leaves in its folder: name -> file."""
        return {"metrics": "metrics.json", "run": "run.json", **self.outputs}

    def row(self, name: str) -> str:
        """What a job of this name is called in paths."""
        return name if self.plain else f"{self.name}-{name}"

    @property
    def rows(self) -> str:
        """A pattern of all rows of this kind, and of no other: a method's name has no hyphen."""
        return "[a-z0-9_]+" if self.plain else f"{self.name}-[a-z0-9_]+"


class Block(Strict):
    """A system's part of an experiment's settings."""

    # Does it train clients as the rounds do, with the experiment's model and budget?
    in_rounds: ClassVar[bool] = False

    def problems(self, place: Place) -> Iterator[str]:
        """What the block gets wrong, alone or with the rest of its experiment, as sentences."""
        return iter(())

    def client_problems(self, place: Place) -> Iterator[str]:
        """What it gets wrong for the clients that there are: asked where nothing else is wrong."""
        return iter(())

    def models(self) -> dict[str, str]:
        """Diffusion models that its jobs load: key below the block -> folder or hub id."""
        return {}

    def loaded(self) -> dict[str, str]:
        """All models that its jobs load from a folder or the hub, as ``models``."""
        return self.models()

    def missing(self, where: str) -> Iterator[str]:
        """Other files that its jobs would die without, a sentence each with the way out."""
        return iter(())

    def seconds(self, place: Place) -> float:
        """A forecast of its jobs of one repetition on one CPU core."""
        return 0.0


@dataclass(frozen=True)
class Place:
    """Where a block stands: the key of its experiment, the experiment, and all settings."""

    name: str
    experiment: Experiment
    settings: Settings

    @property
    def where(self) -> str:
        return f"experiments.{self.name}"

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Clients, and training and test images of a client."""
        return self.settings.sizes_of(self.experiment)


@dataclass(frozen=True)
class System:
    """One paper's system, or the field of baselines that all of them stand in.

    Args:
        name: of its folder, and of its block in an experiment.
        order: its place in reports.
        title: of its paper, or of its part of the report.
        settings: the type of that block; None where it has none.
        kinds: its jobs.
        plan: adds an experiment's jobs in one repetition to a grid: (grid, experiment, seed).
        images: the jobs whose synthetic images a method can use, where the system makes such:
            (grid, experiment, seed, "adapters" or "prompts", client that is left out or None).
        warm_start: the job whose model a run starts from, with the same arguments.
    """

    name: str
    order: int
    title: str = ""
    settings: type[Block] | None = None
    kinds: tuple[JobKind, ...] = ()
    plan: Callable[[Grid, str, int], None] | None = None
    images: Callable[[Grid, str, int, str, int | None], tuple[Job, ...]] | None = None
    warm_start: Callable[[Grid, str, int, str, int | None], Job] | None = None


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


def maker_of_images() -> System:
    """The system whose synthetic images methods can use."""
    return next(system for system in systems().values() if system.images)


def kinds() -> dict[str, JobKind]:
    """The kinds of all systems' jobs by name."""
    return {kind.name: kind for system in systems().values() for kind in system.kinds}
