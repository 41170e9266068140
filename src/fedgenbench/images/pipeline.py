"""The assembled model: saved, loaded and sampled like any Stable Diffusion."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fedgenbench.images.loading import load_pipeline


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

    The miniature and the published models (SD 1.5, SD 2.1-base) take this one way; errors as of
    ``loading.load_pipeline``.
    """
    return load_pipeline("StableDiffusionPipeline", source, dtype, device)


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
