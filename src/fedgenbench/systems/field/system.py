"""The field: every method of the rounds, beside the controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedgenbench.federated.method import method_class, method_module
from fedgenbench.models.registry import MODELS
from fedgenbench.systems.base import JobKind, System, maker_of_images

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid

FEDERATE = JobKind(
    "federate",
    "fedgenbench.systems.field.federate:run",
    inputs={"images": "images", "adapters": "metrics", "warm": "model"},
    plain=True,
)


def plan(grid: Grid, name: str, seed: int) -> None:
    """The runs of an experiment's methods and variants, and those without a domain."""
    experiment = grid.settings.experiments[name]
    for row in experiment.rows:
        _add(grid, name, row, seed)
    for shown, (base, client, _) in grid.left_out.items():
        if base == name:
            for row in experiment.leave_one_out:
                _add(grid, name, row, seed, shown, client)


def _add(
    grid: Grid, name: str, row: str, seed: int, shown: str | None = None, without: int | None = None
) -> None:
    experiment = grid.settings.experiments[name]
    method, settings = grid.run_settings(name, row, seed)
    inputs = {}
    if without is not None:
        settings["without"] = without
    if kind := grid.settings.images(row):
        maker = maker_of_images()
        assert maker.images is not None
        images = maker.images(grid, name, seed, kind, without)
        inputs["adapters"] = tuple(job for made in images for job in made.before())
        if grid.settings.warm(row):
            assert maker.warm_start is not None
            inputs["warm"] = (maker.warm_start(grid, name, seed, kind, without),)
        if method_class(method).images:
            settings["images"] = kind
            variant = grid.settings.variants.get(row)
            own = variant.subset if variant else None
            settings["subset"] = own or experiment.block(maker.name).subset
            inputs["images"] = images
    module, network = MODELS[experiment.model]
    grid.add(
        FEDERATE,
        name,
        seed,
        settings=settings,
        modules=(method_module(method), module),
        made_of=[network],
        name=row,
        inputs=inputs,
        shown=shown,
    )


SYSTEM = System(name="field", order=0, title="The federated field", kinds=(FEDERATE,), plan=plan)
