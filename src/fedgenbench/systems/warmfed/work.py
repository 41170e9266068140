"""What WarmFed's jobs do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fedgenbench.core.tracing import Work
from fedgenbench.images.programs import AdapterStep, drawing, model_of
from fedgenbench.images.settings import Base, Lora
from fedgenbench.systems.warmfed.settings import (
    AdapterSettings,
    PromptSettings,
    SamplingSettings,
    TrialSettings,
)
from fedgenbench.systems.work import classes, training

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid
    from fedgenbench.plan.jobs import Job


def _tuning(base: Base, lora: Lora, steps: int) -> Work:
    step = AdapterStep(lora.batch_size, *model_of(base), lora.rank, tuple(lora.targets))
    return Work(step, lora.batch_size * steps)


def adapter(job: Job, grid: Grid) -> Iterator[Work]:
    settings = AdapterSettings.model_validate(job.settings["synthesis"])
    yield _tuning(settings.base, settings.lora, settings.lora.steps)


def trials(job: Job, grid: Grid) -> Iterator[Work]:
    """Adapters of other ranks, which cost what the usual one does to a hundredth."""
    settings = TrialSettings.model_validate(job.settings["synthesis"])
    tried = settings.trials
    steps = len(tried.ranks) * settings.lora.steps + tried.memorised.steps
    yield _tuning(settings.base, settings.lora, steps)


def _drawn(job: Job) -> int:
    """Images that a job draws."""
    said = job.settings["synthesis"]
    if job.kind.name == "prompts":
        return len(said["prompts"]["templates"]) * said["prompts"]["per_class"] * classes(job)
    return said["per_class"] * classes(job)


def images(job: Job, grid: Grid) -> Iterator[Work]:
    settings = SamplingSettings.model_validate(job.settings["synthesis"])
    yield from drawing(settings.base, settings.sampler, _drawn(job))


def prompts(job: Job, grid: Grid) -> Iterator[Work]:
    settings = PromptSettings.model_validate(job.settings["synthesis"])
    yield from drawing(settings.base, settings.sampler, _drawn(job))


def warm(job: Job, grid: Grid) -> Iterator[Work]:
    chosen = job.settings["warm_start"]
    seen = chosen["epochs"] * sum(map(_drawn, job.inputs["images"]))
    yield training(job, job.settings["model"], chosen["batch_size"], seen)


KINDS = {
    "adapter": adapter,
    "images": images,
    "prompts": prompts,
    "warm": warm,
    "trials": trials,
}
