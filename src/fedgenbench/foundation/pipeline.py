"""The assembled model: saved, loaded and sampled like any Stable Diffusion."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fedgenbench.errors import UserError
from fedgenbench.foundation.networks import SCHEDULE


def assemble(vae: Any, unet: Any, text_encoder: Any, tokenizer: Any) -> Any:
    """A ``StableDiffusionPipeline`` of the parts, with a DPM-Solver++ sampler and no filter."""
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    return StableDiffusionPipeline(
        vae=vae,
        unet=unet,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=DPMSolverMultistepScheduler(**SCHEDULE),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save(pipeline: Any, folder: str | Path) -> None:
    """Writes the pipeline to ``folder`` in diffusers' layout, as fp16 safetensors.

    What was there is replaced as a whole; the pipeline itself is fp16 afterwards.
    """
    folder = Path(folder)
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    pipeline.to(torch.float16).save_pretrained(temporary, safe_serialization=True)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def load(source: str | Path, dtype: torch.dtype, device: str) -> Any:
    """The ``StableDiffusionPipeline`` in the folder ``source``, or of the hub id ``source``.

    The miniature and the published models (SD 1.5, SD 2.1-base) take this one way. Nothing is
    fetched for a folder; for an id the hub's cache is asked first, as diffusers does. A safety
    checker is left out: it would blacken drawings that it was not made for.

    Raises:
        UserError: neither is complete here; says what to put where.
    """
    from diffusers import StableDiffusionPipeline
    from diffusers.utils import logging

    logging.disable_progress_bar()
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(
            str(source),
            dtype=dtype,
            use_safetensors=True,
            local_files_only=Path(source).is_dir(),
            safety_checker=None,
            requires_safety_checker=False,
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Stable Diffusion could be loaded from {str(source)!r}: {str(error).strip()}\n"
            "Give either a folder in diffusers' layout (model_index.json, and the folders unet, vae, "
            "text_encoder, tokenizer and scheduler, weights as .safetensors), or a hub id. Without a "
            f"network, run `hf download {source} --local-dir <folder>` on a connected machine and "
            "copy the folder here; or copy that machine's cache to the folder that HF_HOME names."
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def sample(
    pipeline: Any,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int,
    guidance: float,
    batch: int,
) -> np.ndarray:
    """One image per prompt, uint8 [N, H, W, 3]; its noise comes from its own seed alone.

    ``batch`` images are drawn at a time; ``guidance`` is the weight of classifier-free guidance, 1
    for none. FGL seeds each image by its running number, too (WarmFed sheet §4).
    """
    parts = []
    for start in range(0, len(prompts), batch):
        chosen = slice(start, start + batch)
        images = pipeline(
            list(prompts[chosen]),
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds[chosen]],
            output_type="np",
        ).images
        parts.append((images * 255).round().astype(np.uint8))
    return np.concatenate(parts)
