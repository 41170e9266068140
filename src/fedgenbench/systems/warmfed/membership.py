"""Membership inference on adapters: can the server tell a client's training images from others?

The threshold attack on the loss (Yeom et al., 2018) with the base model as the reference that never saw
the client's images (Watson et al., 2022): the score of an image is how much the client's adapter lowers
its denoising loss. Members are the client's training images, non-members its test images, which are of
the same style and served no training. WarmFed names no attack (sheet §2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedgenbench.core.streams import stream, torch_seed
from fedgenbench.images.adapters import Adapter, attached, embedded
from fedgenbench.images.lora import prepared
from fedgenbench.images.pixels import encoded, to_tensor
from fedgenbench.systems.warmfed.examination import Client, Part, row

BATCH = 32  # images encoded, or latents denoised, at once
FALSE_POSITIVES = 0.05


def standard_error(area: float, members: int, non_members: int) -> float:
    """Of an area under the ROC curve: Hanley and McNeil (1982), eq. (1), exponential scores."""
    two_members = area / (2 - area)
    two_others = 2 * area**2 / (1 + area)
    variance = (
        area * (1 - area)
        + (members - 1) * (two_members - area**2)
        + (non_members - 1) * (two_others - area**2)
    ) / (members * non_members)
    return sqrt(variance)


def balanced(
    members: np.ndarray, non_members: np.ndarray, most: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two sets of labels, at most ``most`` of each and equally many of each class of both.

    Classes are filled evenly, as far as both sides have images of them.
    """
    classes = np.union1d(members, non_members)
    both = [min((members == c).sum(), (non_members == c).sum()) for c in classes]
    places = sorted((level, c) for c, n in zip(classes, both, strict=True) for level in range(n))
    taken = [c for _, c in places[:most]]
    first, second = (
        np.sort(
            np.concatenate(
                [
                    generator.permutation(np.flatnonzero(labels == c))[: taken.count(c)]
                    for c in classes
                ]
            )
        )
        for labels in (members, non_members)
    )
    return first, second


def both_sides(
    seen: Part, unseen: Part, most: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, int]:
    """Images and labels of members, then of as many others, as ``balanced`` chooses; and how many are
    members."""
    chosen = balanced(seen.labels, unseen.labels, most, generator)
    sides = list(zip((seen, unseen), chosen, strict=True))
    images = np.concatenate([part.images[rows] for part, rows in sides])
    return images, np.concatenate([part.labels[rows] for part, rows in sides]), len(chosen[0])


def attack(members: np.ndarray, non_members: np.ndarray) -> dict[str, float]:
    """Area under the ROC curve and what goes with it, of scores [N] and [M], high for a member."""
    from sklearn.metrics import roc_auc_score, roc_curve

    truth = np.repeat([1, 0], [len(members), len(non_members)])
    scores = np.concatenate([members, non_members])
    area = roc_auc_score(truth, scores)
    accused, found, _ = roc_curve(truth, scores, drop_intermediate=False)
    return {
        "auc": area,
        "auc_standard_error": standard_error(area, len(members), len(non_members)),
        "tpr_at_5_fpr": found[accused <= FALSE_POSITIVES].max(),
    }


def latents_of(pipeline: Any, images: np.ndarray) -> Tensor:
    """Latents fp32 [N, C, h, w] of images uint8 [N, H, W, 3] at the model's size."""
    vae = pipeline.vae
    pixels = to_tensor(images).to(vae.dtype)
    # The posterior is that of the network's precision; sums of squares are fp32.
    latents = torch.cat([encoded(vae, part).float() for part in pixels.split(BATCH)])
    return latents * vae.config.scaling_factor


@torch.no_grad()
def denoising_losses(
    pipeline: Any, latents: Tensor, context: Tensor, draws: int, seed: int
) -> np.ndarray:
    """Mean squared error [N] of the predicted noise, or velocity, over ``draws`` times and noises.

    ``latents`` are [N, C, h, w], ``context`` [N, L, D] the embedded prompt of each. Times and noises
    depend on ``seed`` alone and are the same for all images, so that differences between images, and
    between adapters, are not differences of luck; there is one time in each of ``draws`` equal spans.
    """
    from diffusers import DDPMScheduler

    unet = pipeline.unet
    scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    velocity = scheduler.config.prediction_type == "v_prediction"
    generator = torch.Generator().manual_seed(seed)
    spread = (torch.arange(draws) + torch.rand(draws, generator=generator)) / draws
    times = (spread * scheduler.config.num_train_timesteps).long().to(latents.device)
    noises = torch.randn(draws, *latents.shape[1:], generator=generator).to(latents)
    parts = []
    for clean, prompts in zip(latents.split(BATCH), context.split(BATCH), strict=True):
        total = torch.zeros(len(clean), device=clean.device)
        for time, noise in zip(times, noises, strict=True):
            t, drawn = time.expand(len(clean)), noise.expand_as(clean)
            noisy = scheduler.add_noise(clean, drawn, t).to(unet.dtype)
            found = unet(noisy, t, encoder_hidden_states=prompts).sample.float()
            wanted = scheduler.get_velocity(clean, drawn, t) if velocity else drawn
            total += ((found - wanted) ** 2).mean((1, 2, 3))
        parts.append((total / draws).cpu().double())
    return torch.cat(parts).numpy()


def membership(
    clients: list[Client],
    pipeline: Any,
    adapters: Sequence[Adapter],
    prompts: list[str],
    *,
    resolution: int,
    most: int,
    draws: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of the attack on each client's adapter; ``prompts`` has one caption for each class.

    At most ``most`` members and as many non-members per client, by class alike. Two controls show what
    else could tell them apart: the base model's loss alone, and the next client's adapter, which saw
    the same subjects as members but none of the images.
    """
    embeddings = embedded(pipeline, prompts)
    rows = []
    for number, client in enumerate(clients):
        draws_of = stream(seed, "examine", "membership", number)
        images, labels, members = both_sides(client.real, client.held_out, most, draws_of)
        latents = latents_of(pipeline, prepared(images, resolution))
        context = embeddings[torch.from_numpy(labels).to(embeddings.device)]

        def losses(adapter: Adapter | None, latents=latents, context=context) -> np.ndarray:
            with attached(pipeline, adapter):
                return denoising_losses(
                    pipeline, latents, context, draws, torch_seed(seed, "examine", "denoising")
                )

        rows += attacked(number, members, losses, adapters)
    return rows


def attacked(
    number: int,
    members: int,
    losses: Callable[[Adapter | None], np.ndarray],
    adapters: Sequence[Adapter],
) -> list[dict[str, Any]]:
    """Rows of one client; ``losses(adapter)`` is [N], members first, and None is the base."""
    base = losses(None)
    drop = base - losses(adapters[number])
    other = base - losses(adapters[(number + 1) % len(adapters)])
    values = attack(drop[:members], drop[members:]) | {
        "drop_members": drop[:members].mean(),
        "drop_non_members": drop[members:].mean(),
        "members": members,
        "non_members": len(drop) - members,
        "auc_base": attack(-base[:members], -base[members:])["auc"],
        "auc_other": attack(other[:members], other[members:])["auc"],
    }
    return [row("membership", number, name, value) for name, value in values.items()]
