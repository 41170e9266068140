"""Noise schedules of models of latents."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from fedgenbench.core.errors import UserError


def ancestral(pipeline: Any) -> Any:
    """The ``DDPMScheduler`` with a model's own times and noise, which clips nothing.

    Its defaults are made for pixels, which lie between -1 and 1; latents have no bounds.
    """
    from diffusers import DDPMScheduler

    return DDPMScheduler.from_config(
        pipeline.scheduler.config,
        clip_sample=False,
        thresholding=False,
        variance_type="fixed_small",
    )


def predicted(scheduler: Any, key: str, work: str) -> str:
    """``epsilon`` or ``v_prediction``, whichever the model gives.

    Raises:
        UserError: it gives something else, or noise alone at times of pure noise; ``key`` names the
            model, ``work`` what needs it.
    """
    kind = scheduler.config.prediction_type
    if kind not in ("epsilon", "v_prediction"):
        raise UserError(f"{key}: the model predicts {kind!r}; {work} epsilon or v_prediction")
    if kind == "epsilon" and scheduler.config.get("rescale_betas_zero_snr"):
        raise UserError(
            f"{key}: the model's scheduler ends in pure noise (rescale_betas_zero_snr), of which no "
            "epsilon gives the image; take one that predicts velocity, or the scheduler that it was "
            "published with"
        )
    return kind


def require_unit_variance(scheduler: Any) -> None:
    """Refuses samplers whose noisy latents are not of unit deviation, as ``Guided.clean`` takes them.

    Raises:
        UserError: names the sampler and the setting.
    """
    if float(scheduler.init_noise_sigma) != 1.0:
        raise UserError(
            f"fedlmg.guidance.scheduler: the base model's own is a {type(scheduler).__name__}, whose "
            "latents grow with their noise; guidance needs ddpm"
        )


def require_noise(scheduler: Any) -> None:
    """Refuses schedules that end in pure noise, where no correction of the noise moves the image.

    Raises:
        UserError: names the setting.
    """
    if float(scheduler.alphas_cumprod[-1]) == 0.0:
        raise UserError(
            "fedlmg.guidance.form: at the first time of the base model's schedule there is noise alone "
            "(rescale_betas_zero_snr), so that a correction of the noise says nothing of the image; take "
            "latent, or the scheduler that the model was published with"
        )


def step(
    scheduler: Any, prediction: Tensor, t: Tensor, s: Tensor, generators: list[torch.Generator]
) -> Tensor:
    """The latents after a step of ``scheduler``; those that draw nothing take no generators."""
    takes = "generator" in inspect.signature(scheduler.step).parameters
    drawn = {"generator": generators} if takes else {}
    return scheduler.step(prediction, t, s, **drawn).prev_sample
