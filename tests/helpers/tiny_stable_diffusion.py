"""A Stable Diffusion of the published classes, tiny."""

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from tiny_clients import untrained
from transformers import CLIPTextConfig, CLIPTextModel

# The published U-Nets' config.json, where it is not diffusers' default; all have 4 latent channels,
# 320 to 1280 channels and cross-attention at the three finer of four levels.
UNETS = {
    "1.5": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "2.1": {
        "cross_attention_dim": 1024,
        "attention_head_dim": [5, 10, 20, 20],
        "use_linear_projection": True,
    },
}
SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "set_alpha_to_one": False,
}


def stable_diffusion(folder, version, kind):
    """A model of that version's layout in diffusers' format: narrow, shallow and untrained."""
    tokenizer = untrained().tokenizer
    widths = (8, 16, 16, 16)
    chosen = UNETS[version]
    later = version == "2.1"
    scheduler = DDIMScheduler if later else PNDMScheduler
    options = {"clip_sample": False} if later else {"skip_prk_steps": True}
    with torch.random.fork_rng(devices=[]):
        pipeline = StableDiffusionPipeline(
            vae=AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                block_out_channels=widths,
                latent_channels=4,
                norm_num_groups=8,
                scaling_factor=0.18215,
            ),
            unet=UNet2DConditionModel(
                sample_size=4,
                block_out_channels=widths,
                norm_num_groups=8,
                **chosen | {"attention_head_dim": [1, 2, 2, 2] if later else 2},
            ),
            text_encoder=CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=len(tokenizer),
                    hidden_size=chosen["cross_attention_dim"],
                    intermediate_size=32,
                    num_hidden_layers=1,
                    num_attention_heads=8,
                    max_position_embeddings=16,
                    hidden_act="gelu" if later else "quick_gelu",
                )
            ),
            tokenizer=tokenizer,
            scheduler=scheduler(**SCHEDULE, **options, prediction_type=kind),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder)
