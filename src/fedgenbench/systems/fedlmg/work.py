"""What FedLMG's jobs do. Where clients have several architectures, the first stands for all under
guidance: U-Net and autoencoder take nearly all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fedgenbench.core.tracing import Work
from fedgenbench.data.sources import image_shape
from fedgenbench.images.programs import (
    AdapterStep,
    GuidedStep,
    decoding,
    denoising,
    drawing,
    model_of,
)
from fedgenbench.systems.fedlmg.baseline_settings import FedDEO, FedDISC
from fedgenbench.systems.fedlmg.experiment import FedLMG
from fedgenbench.systems.fedlmg.settings import GuidedImagesSettings
from fedgenbench.systems.work import classes, experiment_of, sizes, training

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid
    from fedgenbench.plan.jobs import Job


def _block(job: Job, grid: Grid) -> FedLMG:
    return experiment_of(job, grid).block("fedlmg")


def _held(job: Job, grid: Grid) -> int:
    """Classes that clients hold, counted once for each client."""
    partition = experiment_of(job, grid).partition
    return sizes(job, grid)[0] * getattr(partition, "classes_per_client", classes(job))


def _count(job: Job, grid: Grid, per_class: int, total: int | None) -> int:
    """Images of a row."""
    return classes(job) * total if total else _held(job, grid) * per_class


def _drawn(job: Job, grid: Grid) -> tuple[GuidedImagesSettings, int]:
    settings = GuidedImagesSettings.model_validate(job.settings["drawn"])
    return settings, _count(job, grid, settings.per_class, settings.total_per_class)


def _gradients(
    job: Job, grid: Grid, settings: GuidedImagesSettings, gradients: float
) -> Iterator[Work]:
    _, edge = image_shape(job.data.dataset)
    step = GuidedStep(
        settings.sampler.batch,
        *model_of(settings.base),
        _block(job, grid).clients.models[0],
        edge,
        settings.guidance.checkpointing,
        settings.sampler.guidance,
    )
    yield Work(step, gradients)


def classifiers(job: Job, grid: Grid) -> Iterator[Work]:
    chosen, (clients, train, _) = job.settings["clients"], sizes(job, grid)
    for model in chosen["models"]:
        images = clients * train * chosen["epochs"] / len(chosen["models"])
        yield training(job, model, chosen["batch_size"], images)


def guided(job: Job, grid: Grid) -> Iterator[Work]:
    settings, count = _drawn(job, grid)
    chosen, steps = settings.guidance, settings.sampler.steps
    if not chosen.guides and not chosen.editing_steps:
        yield from drawing(settings.base, settings.sampler, count)
        return
    gradients = chosen.editing_steps + steps * chosen.guides
    yield from _gradients(job, grid, settings, count * gradients)
    if not chosen.guides or chosen.form == "latent":
        yield denoising(settings.base, settings.sampler, count)
    yield decoding(settings.base, settings.sampler, count)


def editing(job: Job, grid: Grid) -> Iterator[Work]:
    settings, count = _drawn(job, grid)
    tried, steps = job.settings["editing"], settings.sampler.steps
    each = sum(steps + edited for edited in tried["steps"]) * len(tried["sizes"]) + steps
    yield from _gradients(job, grid, settings, count * each)


def rival(job: Job, grid: Grid) -> Iterator[Work]:
    settings, count = _drawn(job, grid)
    base = settings.base
    own = getattr(_block(job, grid).rivals, job.name)
    if isinstance(own, FedDISC):
        base = own.base
    if isinstance(own, FedDEO):  # descriptions are learnt image by image, through the U-Net
        clients, train, _ = sizes(job, grid)
        yield Work(AdapterStep(1, *model_of(base), 1, ("to_k",)), clients * train * own.epochs)
    yield from drawing(base, settings.sampler, count)


def rounds(job: Job, grid: Grid) -> Iterator[Work]:
    """FedAvg and its like; FedDF's clients pass the public images too, without a gradient."""
    chosen, (clients, train, _) = job.settings["multi_round"], sizes(job, grid)
    images = (1 + len(job.settings["methods"])) * chosen["epochs"] * clients * train
    images += chosen["public_images"] * (clients / 3 + chosen["distillation_epochs"])
    batch = job.settings["clients"]["batch_size"]
    yield training(job, job.settings["server"], batch, chosen["rounds"] * images)


def dense(job: Job, grid: Grid) -> Iterator[Work]:
    """Each of the generator's steps passes through all clients' classifiers."""
    own, (clients, _, _) = job.settings["own"], sizes(job, grid)
    images = own["epochs"] * own["generator_steps"] * own["batch_size"] * clients
    yield training(job, job.settings["server"]["model"], own["batch_size"], images)


def server(job: Job, grid: Grid) -> Iterator[Work]:
    said, chosen, (clients, train, _) = job.settings, job.settings["server"], sizes(job, grid)
    count = _count(job, grid, said["per_class"], said["total_per_class"])
    block = _block(job, grid)
    if job.name != "main":
        count = _held(job, grid) * block.ablation_per_class
    curve = sum(_held(job, grid) * size for size in said["sizes"])
    rows = len(said["ways"]) + len(said["rivals"]) + ("prompts" in job.inputs)
    images: float = rows * (count + curve)
    if job.name == "main":
        images += (
            4 / 3 * clients * train * block.baselines
        )  # the ceilings, and one of the head alone
        images += clients * count * said["unseen_domains"]
    head = chosen["trains"] == "head"
    yield training(job, chosen["model"], chosen["batch_size"], chosen["epochs"] * images, head=head)


KINDS = {
    "classifiers": classifiers,
    "guided": guided,
    "editing": editing,
    "rival": rival,
    "rounds": rounds,
    "dense": dense,
    "server": server,
}
