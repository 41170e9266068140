"""FedDEO (arXiv 2407.19953): clients learn a text embedding of each class, the server draws from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import torch_seed
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import Partition
from fedgenbench.images.adapters import base_model
from fedgenbench.images.guidance import Guided, Order
from fedgenbench.images.lora import prepared
from fedgenbench.images.memory import Batch
from fedgenbench.images.pixels import encoded, to_tensor
from fedgenbench.images.prompts import class_embeddings
from fedgenbench.images.schedules import ancestral
from fedgenbench.systems.fedlmg.baseline_settings import FedDEO
from fedgenbench.systems.fedlmg.costs import flops, parameters
from fedgenbench.systems.fedlmg.generation import Generated, draw, noise_seed
from fedgenbench.systems.fedlmg.settings import GuidedImagesSettings


def images(
    contest: GuidedImagesSettings,
    own: FedDEO,
    dataset: Dataset,
    partition: Partition,
    device: Any,
    *,
    seed: int,
    checkpoint: Checkpoint,
    tell: Callable[[int, str], None],
) -> Generated:
    """``contest.per_class`` images for each client and each class that it holds (sheet §6).

    A client's descriptions go up in half precision: a finished client's are kept in ``checkpoint``, so a
    killed job learns those of at most one client again. The report has also, by client, the bytes
    that go up, the seconds of its learning and the mean loss of its steps. ``checkpoint``
    and ``tell`` as of ``generation.draw``.

    Raises:
        UserError: a client has no training image, or a description is not finite; or as of
            ``base_model`` and ``draw``.
    """
    pipeline, sampler = base_model(contest.base, device), contest.sampler
    guided = Guided(
        pipeline, contest.guidance, sampler.steps, sampler.guidance, described=own.guidance
    )
    prompts = class_embeddings(pipeline, contest.prompt, dataset.card["classes"])
    store = checkpoint.below("descriptions")
    shards, notes = [], []
    report: dict[str, Any] = {"upload_bytes": {}, "client_seconds": {}, "description_loss": {}}
    for client, held in enumerate(partition.clients):
        labels = np.unique(dataset.train_labels[held.train]).tolist()
        if not labels:
            raise UserError(f"client {client} has no training image: leave it out of the partition")
        found = store.get(f"client-{client}")
        if found is None:
            seeds = [torch_seed(seed, "feddeo", client, label) for label in labels]
            found = _sent(contest, own, pipeline, dataset, held.train, prompts, seeds, client)
            store.put(f"client-{client}", *found)
        arrays, facts = found
        report["upload_bytes"][client] = arrays["descriptions"].nbytes
        report["client_seconds"][client] = facts["seconds"]
        report["description_loss"][client] = facts["loss"]
        notes += facts["notes"]
        shards += [
            [
                Order(
                    client,
                    label,
                    prompts[label],
                    noise_seed(seed, client, label, number),
                    description=torch.from_numpy(description),
                )
                for number in range(contest.per_class)
            ]
            for label, description in zip(labels, arrays["descriptions"], strict=True)
        ]
    generated = draw(contest, guided, shards, checkpoint, tell)
    report |= _asked(pipeline, dataset.train_images[:1], contest, prompts, len(partition.clients))
    generated.report.update(report, notes=notes + generated.report["notes"])
    return generated


@torch.no_grad()
def _asked(
    pipeline: Any, image: np.ndarray, contest: GuidedImagesSettings, prompts: Tensor, clients: int
) -> dict[str, Any]:
    """Operations of one pass over an image [1, H, W, C], and the parameters of U-Net and autoencoder,
    which every client is given."""
    scheduler = ancestral(pipeline)

    def learnt_from_once() -> None:
        latent = _latents(pipeline, image, contest, Batch(1, "an image"))
        t = torch.zeros(1, dtype=torch.long, device=latent.device)
        errors(pipeline, scheduler, prompts[:1].float(), latent, torch.zeros_like(latent), t)

    counts = {
        "client_flops": flops(learnt_from_once),
        "download_parameters": parameters(pipeline.unet, pipeline.vae),
    }
    return {name: dict.fromkeys(range(clients), count) for name, count in counts.items()}


def _sent(
    contest: GuidedImagesSettings,
    own: FedDEO,
    pipeline: Any,
    dataset: Dataset,
    rows: np.ndarray,
    prompts: Tensor,
    seeds: Sequence[int],
    client: int,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The descriptions that a client learns from its images ``rows``, and facts of its work."""
    started = time.perf_counter()
    batch = Batch(contest.sampler.batch, f"client {client}, learning descriptions")
    of_class = dataset.train_labels[rows]
    labels = np.unique(of_class).tolist()
    latents = [
        _latents(pipeline, dataset.train_images[rows[of_class == label]], contest, batch)
        for label in labels
    ]
    learnt, losses = learn(own, pipeline, latents, prompts[labels], seeds, batch)
    descriptions = learnt.half().cpu()
    for label, description in zip(labels, descriptions, strict=True):
        if not description.isfinite().all():
            raise UserError(
                f"client {client}: its description of {dataset.card['classes'][label]!r} is not "
                "finite in half precision; lower fedlmg.rivals.feddeo.lr, or set "
                "fedlmg.base.precision to bf16 or fp32"
            )
    seconds = time.perf_counter() - started
    facts = {"loss": float(np.mean(losses)), "seconds": seconds, "notes": batch.notes}
    return {"descriptions": descriptions.numpy()}, facts


def learn(
    settings: FedDEO,
    pipeline: Any,
    latents: Sequence[Tensor],
    starts: Tensor,
    seeds: Sequence[int],
    batch: Batch,
) -> tuple[Tensor, list[float]]:
    """Descriptions float32 [k, L, D] of k classes, and the mean loss of each one's steps.

    ``latents`` are of a class's images [n, C, h, w], as the U-Net knows them. A description starts
    as the prompt's embedding in ``starts`` [k, L, D], and each image in turn moves it by one step of
    SGD on its ``errors`` at a drawn time (the authors' code; sheet §6). What is drawn for a class
    depends on its own seed alone. Classes go side by side: each learns what it would learn by
    itself. The U-Net has to be frozen.
    """
    scheduler = ancestral(pipeline)
    times = scheduler.config.num_train_timesteps
    losses: list[float] = []

    def some(rows: slice) -> Tensor:
        mine = latents[rows]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds[rows]]
        plans = [
            torch.cat(
                [torch.randperm(len(own), generator=g) for _ in range(settings.epochs)]
            ).tolist()
            for own, g in zip(mine, generators, strict=True)
        ]
        learnt = starts[rows].float().clone()
        total = torch.zeros(len(mine), device=learnt.device)
        for step in range(max(map(len, plans))):
            going = [k for k, plan in enumerate(plans) if step < len(plan)]
            clean = torch.stack([mine[k][plans[k][step]] for k in going])
            drawn = [
                (
                    torch.randn(clean.shape[1:], generator=generators[k]),
                    torch.randint(times, (), generator=generators[k]),
                )
                for k in going
            ]
            noise, t = (torch.stack(part).to(clean.device) for part in zip(*drawn, strict=True))
            leaf = learnt[going].requires_grad_()
            with torch.enable_grad():
                error = errors(pipeline, scheduler, leaf, clean, noise, t)
                # Sums, not means, and over the classes too: none has to do with another's, and half
                # precision holds their gradients.
                size = clean[0].numel()
                (gradient,) = torch.autograd.grad((error * size).sum(), leaf)
            learnt[going] -= settings.lr * gradient / size
            total[going] += error.detach()
        losses.extend((total / torch.tensor([*map(len, plans)]).to(total)).tolist())
        return learnt

    learnt = torch.cat(batch.over(len(latents), some))
    return learnt, losses


def errors(
    pipeline: Any, scheduler: Any, context: Tensor, clean: Tensor, noise: Tensor, t: Tensor
) -> Tensor:
    """Mean squared error [n] of the predicted noise, or velocity where the base predicts it.

    ``context`` is [n, L, D]; ``clean`` and ``noise`` are latents [n, C, h, w], ``t`` the times [n].
    """
    unet = pipeline.unet
    noisy = scheduler.add_noise(clean, noise, t).to(unet.dtype)
    found = unet(noisy, t, encoder_hidden_states=context.to(unet.dtype)).sample
    known = noise
    if scheduler.config.prediction_type == "v_prediction":
        known = scheduler.get_velocity(clean, noise, t)
    return (found.float() - known).square().mean((1, 2, 3))


def _latents(
    pipeline: Any, chosen: np.ndarray, contest: GuidedImagesSettings, batch: Batch
) -> Tensor:
    """Posterior means of images uint8 [n, H, W, C], scaled, as adapters learn from; the authors
    draw from the posterior, of random crops."""
    vae = pipeline.vae
    ready = prepared(chosen, contest.base.resolution)
    parts = batch.over(
        len(ready), lambda rows: encoded(vae, to_tensor(ready[rows]).to(vae.dtype)).float()
    )
    return torch.cat(parts) * vae.config.scaling_factor
