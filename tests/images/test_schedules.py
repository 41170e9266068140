"""Schedules fit latents, whatever a model's configuration leaves out."""

import diffusers
import pytest
import torch
from tiny_clients import untrained
from tiny_guidance import guidance, orders, upload

from fedgenbench.core.errors import UserError
from fedgenbench.images.guidance import Guided
from fedgenbench.images.schedules import ancestral, predicted
from fedgenbench.systems.foundation.networks import SCHEDULE

PLAIN = {"editing_steps": 0, "guide": False}
BOUNDED = {"clip_sample": True, "thresholding": True}


@pytest.fixture
def pipeline():
    return untrained()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("DPMSolverMultistepScheduler", {}),
        ("PNDMScheduler", {"skip_prk_steps": True}),
        ("DDIMScheduler", BOUNDED),
        ("DDPMScheduler", BOUNDED | {"variance_type": "fixed_large"}),
        ("EulerDiscreteScheduler", {}),
    ],
)
def test_the_ancestral_sampler_has_the_model_s_noise_and_no_bounds(name, options, pipeline):
    known = {key: SCHEDULE[key] for key in ("beta_start", "beta_end", "beta_schedule")}
    pipeline.scheduler = getattr(diffusers, name)(**known, **options)
    found = ancestral(pipeline)
    assert (found.config.clip_sample, found.config.thresholding) == (False, False)
    assert found.config.variance_type == "fixed_small"
    assert torch.equal(found.alphas_cumprod, pipeline.scheduler.alphas_cumprod)


def test_a_latent_beyond_one_stays_there(pipeline):
    """The mean of the last step is the clean latent that the prediction gives, however large."""
    scheduler = ancestral(pipeline)
    scheduler.set_timesteps(3)
    last = scheduler.timesteps[-1]
    generator = torch.Generator().manual_seed(0)
    clean = torch.full((1, 4, 2, 2), 5.0)
    noise = torch.randn(clean.shape, generator=generator)
    noisy = scheduler.add_noise(clean, noise, last[None])
    found = scheduler.step(noise, last, noisy, generator=generator).prev_sample
    torch.testing.assert_close(found, clean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["PNDMScheduler", "UniPCMultistepScheduler"])
def test_samplers_without_a_generator_draw_what_the_pipeline_does(name, pipeline):
    options = {"skip_prk_steps": True} if name == "PNDMScheduler" else {}
    pipeline.scheduler = getattr(diffusers, name)(**SCHEDULE, **options)
    asked = orders(pipeline, [upload()])
    found, _ = Guided(pipeline, guidance(**PLAIN), 3, 3.0).draw(asked, 32)
    images = pipeline(
        prompt_embeds=torch.stack([order.embedding for order in asked]),
        negative_prompt_embeds=pipeline.encode_prompt("", "cpu", 2, False)[0],
        height=32,
        width=32,
        num_inference_steps=3,
        guidance_scale=3.0,
        generator=[torch.Generator().manual_seed(order.seed) for order in asked],
        output_type="pt",
    ).images
    own = (images.permute(0, 2, 3, 1) * 255).round().to(torch.uint8)
    assert torch.equal(found, own)


def test_guidance_refuses_samplers_whose_latents_grow(pipeline):
    pipeline.scheduler = diffusers.EulerDiscreteScheduler(
        **{key: SCHEDULE[key] for key in ("beta_start", "beta_end", "beta_schedule")}
    )
    with pytest.raises(UserError, match=r"guidance.scheduler: .* EulerDiscreteScheduler.*ddpm"):
        Guided(pipeline, guidance(), 3, 3.0)
    Guided(pipeline, guidance(scheduler="ddpm"), 3, 3.0)
    Guided(pipeline, guidance(**PLAIN), 3, 3.0)


def test_noise_cannot_be_told_from_pure_noise():
    known = {key: SCHEDULE[key] for key in ("beta_start", "beta_end", "beta_schedule")}
    ends = diffusers.DDPMScheduler(**known, rescale_betas_zero_snr=True)
    with pytest.raises(UserError, match=r"fedlmg.base: .*rescale_betas_zero_snr"):
        predicted(ends, "fedlmg.base", "guidance needs")
    ends.register_to_config(prediction_type="v_prediction")
    assert predicted(ends, "fedlmg.base", "guidance needs") == "v_prediction"
    assert predicted(diffusers.DDPMScheduler(**known), "x", "y") == "epsilon"
