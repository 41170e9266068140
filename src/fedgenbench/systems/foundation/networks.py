"""The parts of the pipeline: Stable Diffusion's classes at a miniature's size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from fedgenbench.systems.foundation.settings import EDGE, Text, UNet, Vae

NORM_GROUPS = 8
Network = TypeVar("Network", bound=nn.Module)

# Stable Diffusion's noise schedule (FedLMG sheet §4).
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}


def vae(settings: Vae, seed: int) -> Any:
    """An untrained ``AutoencoderKL`` between [B, 3, 32, 32] and its latents."""
    from diffusers import AutoencoderKL

    levels = len(settings.channels)
    return _seeded(
        lambda: AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=tuple(settings.channels),
            layers_per_block=1,
            latent_channels=settings.latent_channels,
            norm_num_groups=NORM_GROUPS,
            sample_size=EDGE,
        ),
        seed,
    )


def unet(settings: UNet, latents: Vae, text: Text, seed: int) -> Any:
    """An untrained ``UNet2DConditionModel`` on the latents of ``latents``."""
    from diffusers import UNet2DConditionModel

    levels = len(settings.channels)
    return _seeded(
        lambda: UNet2DConditionModel(
            sample_size=EDGE // 2 ** (len(latents.channels) - 1),
            in_channels=latents.latent_channels,
            out_channels=latents.latent_channels,
            down_block_types=("CrossAttnDownBlock2D",) * levels,
            up_block_types=("CrossAttnUpBlock2D",) * levels,
            block_out_channels=tuple(settings.channels),
            layers_per_block=1,
            cross_attention_dim=text.width,
            # Named after a head's width, but the number of heads: kept so for old checkpoints.
            attention_head_dim=settings.heads,
            norm_num_groups=NORM_GROUPS,
        ),
        seed,
    )


def text_encoder(settings: Text, tokenizer: Any, seed: int) -> Any:
    """An untrained ``CLIPTextModel`` for the tokens of ``tokenizer``."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        intermediate_size=4 * settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        max_position_embeddings=settings.length,
        projection_dim=settings.width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return _seeded(lambda: CLIPTextModel(config), seed)


def _seeded(make: Callable[[], Network], seed: int) -> Network:
    """``make()``, its weights drawn anew from ``seed`` alone.

    Layers and their biases are uniform in ±1/√fan-in, torch's default; embeddings normal with
    CLIP's deviation of 0.02; norms stay at scale 1 and shift 0.
    """
    with torch.random.fork_rng(devices=[]):  # what the constructor draws is overwritten
        network = make()
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            bound = module.weight[0].numel() ** -0.5
            for tensor in module.parameters(recurse=False):
                nn.init.uniform_(tensor, -bound, bound, generator=generator)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02, generator=generator)
    return network


def assemble(vae: Any, unet: Any, text_encoder: Any, tokenizer: Any, prediction: str) -> Any:
    """A ``StableDiffusionPipeline`` of the parts, with a DPM-Solver++ sampler and no filter.

    ``prediction`` is what the U-Net was trained to tell: "epsilon" or "v_prediction".
    """
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    return StableDiffusionPipeline(
        vae=vae,
        unet=unet,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=DPMSolverMultistepScheduler(**SCHEDULE, prediction_type=prediction),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
