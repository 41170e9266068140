"""Tuning of a client's adapter on its private images (WarmFed sheet §3.2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedgenbench.core.checkpoint import Checkpoint, moments, restore_moments
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import torch_seed
from fedgenbench.images.adapters import Adapter, low_rank
from fedgenbench.images.memory import Batch
from fedgenbench.images.pixels import encoded, to_tensor
from fedgenbench.images.schedules import ancestral, predicted
from fedgenbench.images.settings import Lora


def prepared(images: np.ndarray, resolution: int) -> np.ndarray:
    """Images uint8 [N, H, W, 1 or 3] as uint8 [N, resolution, resolution, 3]."""
    from PIL import Image

    if images.shape[3] == 1:
        images = images.repeat(3, axis=3)
    if images.shape[1:3] == (resolution, resolution):
        return images
    resized = np.empty((len(images), resolution, resolution, 3), np.uint8)
    for row, image in enumerate(images):
        # Bicubic, which PIL smooths where it shrinks.
        picture = Image.fromarray(image).resize((resolution, resolution), Image.Resampling.BICUBIC)
        resized[row] = np.asarray(picture)
    return resized


PART = "adapter"  # of the checkpoint


def tune(
    settings: Lora,
    pipeline: Any,
    images: np.ndarray,
    labels: np.ndarray,
    embeddings: Tensor,
    *,
    seed: int,
    client: int,
    checkpoint: Checkpoint,
    tell: Callable[[int, str], None],
) -> tuple[Adapter, list[dict[str, float]], list[str]]:
    """The client's adapter, the history of its training, and notes on it.

    ``images`` is uint8 [N, H, W, 3], ``labels`` int64 [N] and ``embeddings`` [classes, L, D], one
    prompt for each class. Latents are encoded once, as posterior means. The loss is the mean squared
    error of the predicted noise, or velocity where the base predicts it. The base stays as it is, in
    its precision; what is trained is fp32. Initial matrices depend on ``seed`` and ``client`` alone,
    and what a step draws on these and its number: a run that resumes from ``checkpoint`` ends with
    the bits of an unbroken one. The history has the step and the mean loss since the last entry; the
    notes say where memory ended.

    Raises:
        UserError: there is no image, the checkpoint has another identity, the loss is not
            finite, or one image is too much for the GPU.
    """
    if not len(images):
        raise UserError(
            f"client {client} has no training image to tune an adapter on: leave it out of the "
            "partition, or give it some"
        )
    unet = pipeline.unet
    vae = pipeline.vae
    encoder = Batch(settings.batch_size, f"client {client}, encoding")
    parts = encoder.over(
        len(images), lambda rows: encoded(vae, to_tensor(images[rows]).to(vae.dtype)).float()
    )
    latents = torch.cat(parts) * vae.config.scaling_factor
    classes = sorted({int(label) for label in labels})
    context = embeddings.to(unet.device, unet.dtype)
    with low_rank(
        unet, settings.rank, settings.alpha, settings.targets, torch.float32
    ) as parameters:
        _draw(parameters, settings.rank, torch_seed(seed, "lora", client, "weights"))
        history, notes = _train(
            settings,
            pipeline,
            parameters,
            latents,
            context,
            torch.from_numpy(np.array(labels)).to(unet.device),
            stream=(seed, "lora", client),
            who=f"client {client}",
            checkpoint=checkpoint,
            tell=tell,
        )
        adapter = Adapter(
            client=client,
            rank=settings.rank,
            alpha=settings.alpha,
            targets=tuple(settings.targets),
            classes=tuple(classes),
            tensors={name: p.detach().half().cpu() for name, p in parameters.items()},
            embeddings=embeddings[classes].half().cpu(),
        )
    return adapter, history, encoder.notes + notes


@torch.no_grad()
def _draw(parameters: dict[str, nn.Parameter], rank: int, seed: int) -> None:
    """A from a normal of deviation 1 / rank (peft's "gaussian"), B zero: the base to begin with."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in parameters.items():
        if ".lora_A." in name:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / rank)
        else:
            parameter.zero_()


def _train(
    settings: Lora,
    pipeline: Any,
    named: dict[str, nn.Parameter],
    latents: Tensor,
    context: Tensor,
    labels: Tensor,
    *,
    stream: tuple[int, str, int],
    who: str,
    checkpoint: Checkpoint,
    tell: Callable[[int, str], None],
) -> tuple[list[dict[str, float]], list[str]]:
    unet, device = pipeline.unet, latents.device
    scheduler = ancestral(pipeline)
    kind = predicted(scheduler, "base", "adapters are tuned on models that predict")
    parameters = list(named.values())
    optimiser = torch.optim.AdamW(
        parameters, lr=settings.lr, weight_decay=settings.weight_decay, fused=True
    )
    # Gradients of activations are below what fp16 can hold; bf16 has fp32's range.
    scaler = torch.amp.GradScaler(device.type, enabled=unet.dtype == torch.float16)
    count = min(settings.batch_size, len(latents))
    micro = Batch(count, f"{who}, tuning")

    def gradients(step: int) -> Tensor:
        """The mean loss of a step; its gradients are in the parameters."""
        generator = torch.Generator().manual_seed(torch_seed(*stream, step))
        rows = torch.randperm(len(latents), generator=generator)[:count].to(device)
        noise = torch.randn(count, *latents.shape[1:], generator=generator).to(device)
        t = torch.randint(scheduler.config.num_train_timesteps, (count,), generator=generator).to(
            device
        )
        clean = latents[rows]
        noisy = scheduler.add_noise(clean, noise, t).to(unet.dtype)
        wanted = noise if kind == "epsilon" else scheduler.get_velocity(clean, noise, t)
        total = torch.zeros((), device=device)
        optimiser.zero_grad()
        for start in range(0, count, micro.size):
            part = slice(start, start + micro.size)
            with torch.autocast(device.type, unet.dtype, unet.dtype != torch.float32):
                found = unet(
                    noisy[part], t[part], encoder_hidden_states=context[labels[rows[part]]]
                ).sample
            share = len(found) / count
            loss = share * F.mse_loss(found.float(), wanted[part])
            scaler.scale(loss).backward()
            total += loss.detach()
        return total

    history = _load(checkpoint, named, optimiser, scaler, micro)
    since = []
    for step in range(int(history[-1]["step"]) if history else 0, settings.steps):
        loss = micro.attempt(partial(gradients, step))
        scaler.unscale_(optimiser)
        nn.utils.clip_grad_norm_(parameters, settings.clip)
        scaler.step(optimiser)
        scaler.update()
        since.append(loss.item())
        tell(step + 1, f"loss {since[-1]:.4f}")
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            mean = sum(since) / len(since)
            if not mean < float("inf"):
                raise UserError(
                    f"{who}: the loss is not finite after {step + 1} steps of tuning; lower "
                    "lora.lr, or take a base of bf16 or fp32 precision"
                )
            history.append({"step": step + 1, "loss": mean})
            _save(checkpoint, named, optimiser, scaler, micro, history)
            since = []
    optimiser.zero_grad()
    return history, micro.notes


def _save(
    checkpoint: Checkpoint,
    named: dict[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    micro: Batch,
    history: list[dict[str, float]],
) -> None:
    tensors: dict[str, torch.Tensor] = {
        f"lora/{name}": parameter for name, parameter in named.items()
    }
    tensors |= moments(optimiser)
    facts = {"history": history, "scaler": scaler.state_dict()}
    checkpoint.put(PART, tensors, facts | {"size": micro.size, "notes": micro.notes})


def _load(
    checkpoint: Checkpoint,
    named: dict[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    micro: Batch,
) -> list[dict[str, float]]:
    """The history, with everything as it was when it was kept; empty where nothing was."""
    if (part := checkpoint.tensors(PART)) is None:
        return []
    tensors, facts = part
    kept = {key.removeprefix("lora/") for key in tensors if key.startswith("lora/")}
    if other := sorted(kept ^ named.keys()):
        raise UserError(
            f"{checkpoint.folder} and the adapter differ in {other[0]}: delete the folder; the client "
            "is tuned from the beginning"
        )
    for name, parameter in named.items():
        parameter.data.copy_(tensors[f"lora/{name}"])
    restore_moments(optimiser, tensors)
    scaler.load_state_dict(facts["scaler"])
    micro.size, micro.notes = facts["size"], facts["notes"]
    return facts["history"]
