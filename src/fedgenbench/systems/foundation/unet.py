"""Training of the U-Net and, with it, of the text encoder, on latents that are encoded once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.streams import torch_seed
from fedgenbench.images.pixels import encoded, moved, to_tensor
from fedgenbench.systems.foundation import networks
from fedgenbench.systems.foundation.captions import (
    captions,
    class_prompt,
    make_tokenizer,
    token_ids,
)
from fedgenbench.systems.foundation.plan import training_identity
from fedgenbench.systems.foundation.pool import Pool
from fedgenbench.systems.foundation.settings import UNetJob
from fedgenbench.systems.foundation.training import take_average, train

MIN_SNR = 5.0
TEXTS = 512  # captions turned to token numbers at once
VALIDATION_DRAWS = 4  # of noise and time per validation image


def snr_weights(scheduler: Any, velocity: bool) -> Tensor:
    """Weights [times] of the squared error of the noise, or of the velocity, after min-SNR.

    Hang et al. (2023), §3.4: the error of the image weighs as its signal-to-noise ratio does, but no
    more than γ = 5. The velocity's error weighs it by one more; so is its bound.
    """
    ratio = scheduler.alphas_cumprod / (1 - scheduler.alphas_cumprod)
    return (MIN_SNR + velocity) / (ratio + velocity).clamp(min=MIN_SNR + velocity)


def train_unet(
    settings: UNetJob,
    pool: Pool,
    vae: Any,
    device: str,
    *,
    folder: Path,
    tell: Callable[[int, str], None],
) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
    """The trained ``UNet2DConditionModel``, ``CLIPTextModel``, ``CLIPTokenizer``, and the history.

    It goes on from what an earlier training left in ``folder``.

    The loss is the squared error of what is predicted, weighted by ``snr_weights``. Validation is the
    plain squared error of the noise, whatever is predicted, on names of the ten classes that no step
    sees, under their class's prompt.
    """
    from diffusers import DDPMScheduler

    chosen, seed = settings.unet, settings.seed
    seen, unseen = pool.part(held_out=False), pool.validation(settings.shares, seed)
    odds = torch.from_numpy(seen.weights(settings.shares))
    texts = _captions(seen)
    tokenizer, network = _untrained(settings, texts)
    network.to(device)
    flat = [text for row in texts for text in row]
    parts = [token_ids(tokenizer, flat[i : i + TEXTS]) for i in range(0, len(flat), TEXTS)]
    ids = torch.cat(parts).unflatten(0, (len(texts), -1)).to(device)
    empty = token_ids(tokenizer, [""]).to(device)
    scheduler = DDPMScheduler(**networks.SCHEDULE)
    share = scheduler.alphas_cumprod.to(device)
    velocity = chosen.prediction == "v_prediction"
    weight = snr_weights(scheduler, velocity).to(device)

    shifts = torch.Generator().manual_seed(torch_seed(seed, "foundation", "unet", "variants"))
    images = to_tensor(seen.images)
    latents = torch.stack(
        [
            encoded(vae, moved(images, shifts) if number else images)
            for number in range(chosen.variants)
        ]
    )
    latents *= vae.config.scaling_factor

    def errors(clean: Tensor, tokens: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Squared error of the prediction and time of each latent, each with a noise of its own."""
        t = torch.randint(len(share), (len(clean),), generator=generator).to(device)
        noise = torch.randn(clean.shape, generator=generator).to(device)
        context = network["text_encoder"](tokens).last_hidden_state
        noisy = scheduler.add_noise(clean, noise, t)
        predicted = network["unet"](noisy, t, encoder_hidden_states=context).sample
        target = scheduler.get_velocity(clean, noise, t) if velocity else noise
        return F.mse_loss(predicted, target, reduction="none").mean((1, 2, 3)), t

    def loss(generator: torch.Generator) -> Tensor:
        size = (chosen.training.batch_size,)
        rows = torch.multinomial(odds, size[0], True, generator=generator)
        version = torch.randint(chosen.variants, size, generator=generator)
        template = torch.randint(ids.shape[1], size, generator=generator)
        dropped = torch.rand(size, generator=generator) < chosen.caption_dropout
        tokens = torch.where(dropped[:, None].to(device), empty, ids[rows, template])
        error, t = errors(latents[version, rows], tokens, generator)
        return (weight[t] * error).mean()

    unseen_latents = encoded(vae, to_tensor(unseen.images)) * vae.config.scaling_factor
    unseen_ids = token_ids(tokenizer, [class_prompt(pool.classes[y]) for y in unseen.labels])

    def validation() -> float:
        draws = torch.Generator().manual_seed(torch_seed(seed, "foundation", "unet", "validation"))
        clean = unseen_latents.repeat(VALIDATION_DRAWS, 1, 1, 1)
        tokens = unseen_ids.to(device).repeat(VALIDATION_DRAWS, 1)
        error, t = errors(clean, tokens, draws)
        # The noise follows from the velocity; its error is this much smaller.
        return (error * share[t] if velocity else error).mean().item()

    history = train(
        network,
        loss,
        validation,
        chosen.training,
        stream=(seed, "foundation-unet"),
        checkpoint=Checkpoint(folder, training_identity(settings, pool.sha256)),
        tell=tell,
    )
    return network["unet"], network["text_encoder"], tokenizer, history


def kept_unet(
    settings: UNetJob, pool: Pool, folder: Path
) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
    """As ``train_unet`` of the steps that ``folder`` has kept so far, without a further one."""
    tokenizer, network = _untrained(settings, _captions(pool.part(held_out=False)))
    kept = Checkpoint(folder, training_identity(settings, pool.sha256))
    history = take_average(network, kept)
    return network["unet"], network["text_encoder"], tokenizer, history


def _captions(seen: Pool) -> list[list[str]]:
    """Every drawing's captions, as many of each."""
    return [
        captions(seen.classes[label], name, kind)
        for label, name, kind in zip(seen.labels, seen.names, seen.kinds, strict=True)
    ]


def _untrained(settings: UNetJob, texts: list[list[str]]) -> tuple[Any, nn.ModuleDict]:
    """The tokenizer of these captions, and both networks as they are drawn from their seeds."""
    tokenizer = make_tokenizer((text for row in texts for text in row), settings.text)
    text_seed = torch_seed(settings.seed, "foundation", "text_encoder", "weights")
    unet_seed = torch_seed(settings.seed, "foundation", "unet", "weights")
    network = nn.ModuleDict(
        {
            "text_encoder": networks.text_encoder(settings.text, tokenizer, text_seed),
            "unet": networks.unet(settings.unet, settings.vae, settings.text, unet_seed),
        }
    )
    return tokenizer, network
