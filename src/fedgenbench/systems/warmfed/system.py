"""WarmFed's jobs: adapters, synthetic images, the warm start, and a look at all of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedgenbench.core.settings import Strict
from fedgenbench.models.registry import MODELS
from fedgenbench.systems.base import JobKind, System
from fedgenbench.systems.warmfed.settings import (
    AdapterSettings,
    ExaminationSettings,
    PromptSettings,
    SamplingSettings,
    TrialSettings,
    WarmFed,
)

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid
    from fedgenbench.plan.jobs import Job

_HERE = "fedgenbench.systems.warmfed"
ADAPTER = JobKind("adapter", f"{_HERE}.adapter:run", {"adapter": "adapter.safetensors"})
IMAGES = JobKind(
    "images",
    f"{_HERE}.images:run",
    {"images": "images.safetensors"},
    {"adapter": "adapter"},
    partition=False,
)
PROMPTS = JobKind(
    "prompts", f"{_HERE}.prompts:run", {"images": "images.safetensors"}, partition=False
)
WARM = JobKind(
    "warm",
    f"{_HERE}.warm:run",
    {"model": "model.safetensors"},
    {"images": "images"},
    partition=False,
)
TRIALS = JobKind("trials", f"{_HERE}.trials:run", inputs={"adapter": "adapter"})
EXAMINED = JobKind(
    "examined",
    f"{_HERE}.examined:run",
    {"embedding": "tsne.parquet", "grid": "grid.png", "duplicates": "duplicates.png"},
    {"adapters": "adapter", "images": "images", "prompts": "images"},
    pictures=("grid", "duplicates", "embedding"),
)


def plan(grid: Grid, name: str, seed: int) -> None:
    """The look at images, where an experiment has those of adapters and of prompts."""
    experiment = grid.settings.experiments[name]
    if not {grid.settings.images(row) for row in experiment.rows} >= {"adapters", "prompts"}:
        return
    drawn = images(grid, name, seed, "adapters")
    trials = experiment.block("warmfed").trials
    if trials and seed == grid.settings.seeds[0]:
        grid.add(
            TRIALS,
            name,
            seed,
            settings=_settings(grid, name, seed, TrialSettings),
            name="adapters",
            inputs={"adapter": tuple(drawn[trials.client].before())},
        )
    grid.add(
        EXAMINED,
        name,
        seed,
        settings=_settings(grid, name, seed, ExaminationSettings),
        name="all",
        inputs={
            "adapters": tuple(job for made in drawn for job in made.before()),
            "images": drawn,
            "prompts": images(grid, name, seed, "prompts"),
        },
    )


def images(
    grid: Grid, name: str, seed: int, kind: str, without: int | None = None
) -> tuple[Job, ...]:
    """The synthetic images of an experiment: one job per client that is not left ``without``, or
    one of prompts alone, which all experiments on a data set share that draw alike."""
    if kind == "prompts":
        settings = _settings(grid, name, seed, PromptSettings)
        place = _place_of_prompts(grid, name, seed, settings)
        return (grid.add(PROMPTS, name, seed, settings=settings, name="all", shown=place),)
    clients, _, _ = grid.settings.sizes_of(grid.settings.experiments[name])
    present = (client for client in range(clients) if client != without)
    return tuple(_of_client(grid, name, seed, client) for client in present)


def _place_of_prompts(grid: Grid, name: str, seed: int, settings: dict[str, Any]) -> str:
    """The data set, where its first experiment draws alike, else the experiment: one job a seed each."""
    experiments = grid.settings.experiments
    dataset = experiments[name].dataset
    first = next(
        other
        for other, each in experiments.items()
        if each.dataset == dataset and each.block("warmfed")
    )
    return dataset if settings == _settings(grid, first, seed, PromptSettings) else name


def _of_client(grid: Grid, name: str, seed: int, client: int) -> Job:
    adapter = grid.add(
        ADAPTER,
        name,
        seed,
        settings=_settings(grid, name, seed, AdapterSettings) | {"client": client},
        name=str(client),
        client=client,
    )
    return grid.add(
        IMAGES,
        name,
        seed,
        settings=_settings(grid, name, seed, SamplingSettings) | {"client": client},
        name=str(client),
        client=client,
        inputs={"adapter": (adapter,)},
    )


def warm_start(grid: Grid, name: str, seed: int, kind: str, without: int | None) -> Job:
    """The model trained on the synthetic images, without a client's where it is left out."""
    experiment = grid.settings.experiments[name]
    dataset = grid.settings.datasets[experiment.dataset]
    left_out = {client: shown for shown, (base, client, _) in grid.left_out.items() if base == name}
    module, network = MODELS[experiment.model]
    return grid.add(
        WARM,
        name,
        seed,
        settings={
            "seed": seed,
            "model": experiment.model,
            "mean": dataset.mean,
            "std": dataset.std,
            "warm_start": experiment.block("warmfed").warm_start.model_dump(),
        },
        modules=(module,),
        made_of=[network],
        name=kind,
        inputs={"images": images(grid, name, seed, kind, without)},
        shown=None if without is None else left_out[without],
    )


def _settings(grid: Grid, name: str, seed: int, part: type[Strict]) -> dict[str, Any]:
    """The seed, the base model's fingerprint, and the part of the block that decides a job."""
    block = grid.settings.experiments[name].block("warmfed")
    return {
        "seed": seed,
        "model": grid.fingerprint(block.base.source),
        "synthesis": block.model_dump(include=set(part.model_fields)),
    }


SYSTEM = System(
    name="warmfed",
    order=2,
    title="WarmFed: a warm start from clients' adapters, and self-distillation",
    settings=WarmFed,
    kinds=(ADAPTER, IMAGES, PROMPTS, WARM, TRIALS, EXAMINED),
    plan=plan,
    images=images,
    warm_start=warm_start,
)
