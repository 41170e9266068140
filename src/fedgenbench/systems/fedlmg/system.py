"""FedLMG's jobs: the clients' classifiers, images under each guidance, its baselines, the server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from fedgenbench.federated.method import method_module
from fedgenbench.models.registry import MODELS
from fedgenbench.systems.base import JobKind, System
from fedgenbench.systems.fedlmg.baseline_settings import FedDISC
from fedgenbench.systems.fedlmg.experiment import FedLMG
from fedgenbench.systems.fedlmg.public import fingerprint
from fedgenbench.systems.fedlmg.settings import VARIED, WAYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedgenbench.plan.grid import Grid
    from fedgenbench.plan.jobs import Job

_HERE = "fedgenbench.systems.fedlmg"
_DRAWN = {"images": "images.safetensors", "shown": "shown.safetensors"}
CLASSIFIERS = JobKind("classifiers", f"{_HERE}.clients:run", {"models": "classifiers.safetensors"})
GUIDED = JobKind(
    "guided",
    f"{_HERE}.guided:run",
    _DRAWN,
    {"models": "models"},
    partition=False,
    pictures=("shown",),
)
EDITING = JobKind("editing", f"{_HERE}.editing:run", inputs={"models": "models"}, partition=False)
RIVAL = JobKind("rival", f"{_HERE}.baseline:run", _DRAWN, pictures=("shown",))
DENSE = JobKind("dense", f"{_HERE}.dense:run", inputs={"models": "models"})
ROUNDS = JobKind("rounds", f"{_HERE}.multiround:run")
SERVER = JobKind(
    "server",
    f"{_HERE}.server:run",
    inputs={"models": "models", "images": "images", "prompts": "images", "rivals": "images"},
)


def plan(grid: Grid, name: str, seed: int) -> None:
    """Classifiers, the images under each guidance, and the server's models (fedlmg sheet §3)."""
    experiment = grid.settings.experiments[name]
    block: FedLMG | None = experiment.block("fedlmg")
    if block is None:
        return
    dataset = grid.settings.datasets[experiment.dataset]
    shown = {"seed": seed, "mean": dataset.mean, "std": dataset.std, "imagenet": block.imagenet}
    modules, networks = _architectures(block)
    uploads = partial(_uploads, grid, name, seed, shown)
    if block.editing and seed == grid.settings.seeds[0]:
        grid.add(
            EDITING,
            name,
            seed,
            settings=shown | {"drawn": block.tried(), "editing": block.editing.model_dump()},
            modules=modules,
            made_of=[grid.fingerprint(block.base.source)],
            name="trials",
            inputs=uploads("main"),
        )
    drawn = _guided(grid, name, seed, shown, modules, uploads)
    baselines = _baselines(grid, name, seed, shown)
    if block.multi_round:
        _rounds(grid, name, seed, shown, modules, networks)
    if block.rivals and block.rivals.dense:
        grid.add(
            DENSE,
            name,
            seed,
            settings=shown
            | {"server": block.server.model_dump(), "own": block.rivals.dense.model_dump()},
            modules=modules,
            made_of=networks[-1:],
            name="main",
            inputs=uploads("main"),
        )
    for row in ("main", *block.variations):
        main = row == "main"
        # What needs no guidance stands beside main alone.
        beside = (drawn["prompts"],) if main and "prompts" in drawn else ()
        rivals = baselines if main else ()
        grid.add(
            SERVER,
            name,
            seed,
            settings=shown
            | {"server": block.trained_in(row)[1].model_dump()}
            | {"sizes": block.sizes if main else [], "ways": [*WAYS] if main else [*VARIED]}
            | {"per_class": block.per_class, "total_per_class": block.total_per_class}
            | {"upload_noise": block.upload_noise(row)}
            | {"unseen_domains": block.unseen_domains and main}
            | {"rivals": [job.name for job in rivals], "asked": [*block.other_bases]},
            modules=modules,
            made_of=networks[-1:],
            name=row,
            inputs=uploads(row) | {"images": (drawn[row],), "prompts": beside, "rivals": rivals},
        )


def _architectures(block: FedLMG) -> tuple[tuple[str, ...], list[str]]:
    """The modules of all networks; and their code, the clients' one by one, the server's last."""
    names = [*block.clients.models, block.server.model]
    return tuple(sorted({MODELS[model][0] for model in names})), [MODELS[n][1] for n in names]


def _uploads(
    grid: Grid, name: str, seed: int, shown: dict[str, Any], row: str
) -> dict[str, tuple[Job, ...]]:
    """The classifiers of a row, as an input: those of all, unless its clients are trained otherwise."""
    block: FedLMG = grid.settings.experiments[name].block("fedlmg")
    modules, networks = _architectures(block)
    clients = block.trained_in(row)[0]
    job = grid.add(
        CLASSIFIERS,
        name,
        seed,
        settings=shown | {"clients": clients.model_dump()},
        modules=modules,
        made_of=networks[:-1],
        name="all" if clients == block.clients else row,
    )
    return {"models": (job,)}


def _rounds(
    grid: Grid,
    name: str,
    seed: int,
    shown: dict[str, Any],
    modules: tuple[str, ...],
    networks: list[str],
) -> None:
    """The baselines of many rounds; those that average weights where all have one architecture."""
    block: FedLMG = grid.settings.experiments[name].block("fedlmg")
    assert block.multi_round is not None
    methods = ("fedavg", "fedprox", "feddyn") if block.averages else ()
    grid.add(
        ROUNDS,
        name,
        seed,
        settings=shown
        | {"clients": block.clients.model_dump(), "server": block.server.model}
        | {"multi_round": block.multi_round.model_dump()}
        | {"methods": {method: grid.settings.methods[method] for method in methods}},
        modules=(*modules, *map(method_module, methods)),
        made_of=[*networks, fingerprint(block.multi_round.public)],
        name="all",
    )


def _guided(
    grid: Grid,
    name: str,
    seed: int,
    shown: dict[str, Any],
    modules: tuple[str, ...],
    uploads: Callable[[str], dict[str, tuple[Job, ...]]],
) -> dict[str, Job]:
    """The images of ``main``, of prompts alone and of each variation, each under its ``uploads``."""
    block: FedLMG = grid.settings.experiments[name].block("fedlmg")
    drawn = {}
    for row in ("main", *(("prompts",) if block.baselines else ()), *block.variations):
        settings = block.drawn(row)
        drawn[row] = grid.add(
            GUIDED,
            name,
            seed,
            settings=shown | {"drawn": settings, "upload_noise": block.upload_noise(row)},
            modules=modules,
            made_of=[grid.fingerprint(settings["base"]["source"])],
            name=row,
            inputs=uploads(row),
        )
    return drawn


def _baselines(grid: Grid, name: str, seed: int, shown: dict[str, Any]) -> tuple[Job, ...]:
    """The images of other one-shot methods, drawn as those of prompts alone are."""
    block: FedLMG = grid.settings.experiments[name].block("fedlmg")
    return tuple(
        grid.add(
            RIVAL,
            name,
            seed,
            settings=shown | {"drawn": block.drawn("prompts"), "own": own.model_dump()},
            modules=(f"{_HERE}.{baseline}",),
            # FedDISC has a diffusion model of its own.
            made_of=[
                grid.fingerprint(own.base.source if isinstance(own, FedDISC) else block.base.source)
            ],
            name=baseline,
        )
        for baseline, own in block.drawing_rivals.items()
    )


SYSTEM = System(
    name="fedlmg",
    order=3,
    title="FedLMG: images drawn under guidance of the clients' classifiers",
    settings=FedLMG,
    kinds=(CLASSIFIERS, EDITING, GUIDED, RIVAL, ROUNDS, DENSE, SERVER),
    plan=plan,
)
