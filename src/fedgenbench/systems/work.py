"""What jobs do, as programs whose cost can be counted: each system's module of this name says it of its
kinds. What is small beside the rest of a job is left out: evaluation of images, prompts, aggregation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fedgenbench.core.tracing import Work
from fedgenbench.data.sources import image_shape, source_of
from fedgenbench.models.programs import ClassifierStep
from fedgenbench.systems.base import parts

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid
    from fedgenbench.plan.jobs import Job
    from fedgenbench.plan.settings import Experiment


def work(job: Job, grid: Grid) -> list[Work]:
    """The parts of a job that cost; none where its kind's are small."""
    for _, module in parts("work"):
        if said := module.KINDS.get(job.kind.name):
            return list(said(job, grid))
    return []


def experiment_of(job: Job, grid: Grid) -> Experiment:
    """The experiment that a job belongs to, without the domain that is left out of it; where several
    share the job, the first one on its data set."""
    experiments = grid.settings.experiments
    base, *_ = grid.left_out.get(job.experiment, (job.experiment,))
    if base in experiments:
        return experiments[base]
    return next(each for each in experiments.values() if each.dataset == job.data.dataset)


def sizes(job: Job, grid: Grid) -> tuple[int, int, int]:
    """Clients, and training and test images of one."""
    return grid.settings.sizes_of(experiment_of(job, grid))


def classes(job: Job) -> int:
    return len(source_of(job.data.dataset)["facts"]["train"])


def training(job: Job, model: str, batch: int, images: float, *, head: bool = False) -> Work:
    """Passes of ``images`` images through ``model``, forward and back, at the data set's size."""
    channels, edge = image_shape(job.data.dataset)
    return Work(ClassifierStep(batch, model, (channels, edge, edge), classes(job), head), images)


def rounds(job: Job, grid: Grid) -> Iterator[Work]:
    """A federation: its clients' training, and its evaluations at a third of that by the image."""
    settings, (clients, train, test) = job.settings, sizes(job, grid)
    factor = grid.settings.forecast.passes.get(settings["method"], 1.0)
    passes = factor * settings["local"]["epochs"] * settings["rounds"] * settings["participation"]
    evaluations = 1 + settings["rounds"] // settings["evaluate_every"]
    images = clients * (train * passes + test * evaluations / 3)
    yield training(job, settings["model"], settings["local"]["batch_size"], images)
