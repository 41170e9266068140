"""pFedGPA's jobs beside its rounds: a generator on saved uploads, and clients that join later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedgenbench.federated.method import method_module
from fedgenbench.models.registry import MODELS
from fedgenbench.systems.base import JobKind, System
from fedgenbench.systems.pfedgpa.study_settings import PFedGPA

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid
    from fedgenbench.plan.jobs import Job

_HERE = "fedgenbench.systems.pfedgpa"
UPLOADS = JobKind("uploads", f"{_HERE}.uploads:run", {"uploads": "uploads.safetensors"})
FIT = JobKind(
    "fit",
    f"{_HERE}.fit:run",
    {"generator": "generator.safetensors"},
    {"uploads": "uploads"},
)
AGGREGATE = JobKind(
    "aggregate",
    f"{_HERE}.aggregate:run",
    inputs={"uploads": "uploads", "generator": "generator"},
)
NEWCOMERS = JobKind("newcomers", f"{_HERE}.newcomers:run")


def plan(grid: Grid, name: str, seed: int) -> None:
    """What the block asks for of an experiment."""
    experiment = grid.settings.experiments[name]
    block = experiment.block("pfedgpa")
    if block is None:
        return
    _, settings = grid.run_settings(name, "pfedgpa", seed)
    module, network = MODELS[experiment.model]
    shared: dict[str, Any] = {
        "modules": (*map(method_module, ("pfedgpa", "fedavg")), module),
        "made_of": [network],
    }
    if block.oneshot:
        uploads: tuple[Job, ...] = (
            grid.add(UPLOADS, name, seed, settings=settings, name="all", **shared),
        )
        for fit in block.oneshot.fits:
            part: dict[str, Any] = {"settings": block.oneshot.of_fit(fit, settings), "name": fit}
            made = grid.add(FIT, name, seed, inputs={"uploads": uploads}, **part, **shared)
            inputs: dict[str, tuple[Job, ...]] = {"uploads": uploads, "generator": (made,)}
            grid.add(AGGREGATE, name, seed, inputs=inputs, **part, **shared)
    if block.newcomers:
        asked = settings | {"newcomers": block.newcomers.model_dump()}
        grid.add(NEWCOMERS, name, seed, settings=asked, name="all", **shared)


SYSTEM = System(
    name="pfedgpa",
    order=1,
    title="pFedGPA: a diffusion model over client weights",
    settings=PFedGPA,
    kinds=(UPLOADS, FIT, AGGREGATE, NEWCOMERS),
    plan=plan,
)
