"""No tensor of a long program stays on the CPU: found without a GPU, on the meta device."""

import pytest
import torch
import torch.nn.functional as F
from placement import OneDevice

from fedgenbench.images.programs import AdapterStep, Decoding, DenoisingStep, GuidedStep
from fedgenbench.models.programs import ClassifierStep
from fedgenbench.models.registry import MODELS
from fedgenbench.systems.pfedgpa.networks import Autoencoder, ConvUNet, ResidualMLP, mix
from fedgenbench.systems.pfedgpa.work import AutoencoderStep, DenoiserStep

MINIATURE = "models/foundation", "fp32", 32
UNCLIP = "models/unclip", "fp32", 32
TARGETS = ("to_q", "to_k", "to_v", "to_out.0")


@pytest.mark.parametrize(
    "program",
    [
        AdapterStep(2, *MINIATURE, 4, TARGETS),
        DenoisingStep(2, *MINIATURE),
        DenoisingStep(2, *UNCLIP),
        Decoding(2, *MINIATURE),
        GuidedStep(2, *MINIATURE, "bn_cnn", 32, False),
        GuidedStep(2, *MINIATURE, "mini_mobilenet_v2", 24, True),
        GuidedStep(2, *MINIATURE, "mini_vgg", 32, False, scale=1.0),
        AutoencoderStep(2, 2000, 16),
        DenoiserStep(2, 64, "unet"),
        DenoiserStep(2, 64, "mlp"),
        *(ClassifierStep(2, name, (3, 64, 64), 10) for name in MODELS),
        ClassifierStep(2, "resnet18", (3, 64, 64), 10, head=True),
    ],
    ids=lambda program: f"{program.title}-{type(program).__name__}",
)
def test_a_program_keeps_its_tensors_on_its_device(program):
    with program.running("meta") as (step, networks), OneDevice():
        step()
    assert {p.device.type for network in networks for p in network.parameters()} == {"meta"}


@pytest.mark.parametrize("network", [ConvUNet, ResidualMLP])
def test_noise_is_drawn_on_the_cpu_and_moved(network):
    with torch.device("meta"):
        model, codes, times = network(64), torch.zeros(2, 64), torch.zeros(2)
    generator = torch.Generator().manual_seed(0)
    with OneDevice():
        assert model(mix(codes, 0.1, generator), times).device.type == "meta"


def test_the_autoencoder_loses_on_its_device():
    with torch.device("meta"):
        model, vectors = Autoencoder(2000, 16), torch.zeros(2, 2000)
    with OneDevice():
        assert model.loss(vectors, torch.Generator().manual_seed(0)).device.type == "meta"


def test_the_mode_refuses_what_a_gpu_refuses():
    meta = torch.zeros(2, 3, device="meta")
    with OneDevice():
        assert (meta * torch.tensor(2.0)).device.type == "meta"  # a number
        assert torch.zeros(2, 3).to(meta).device.type == "meta"  # a move
        with pytest.raises(AssertionError, match="gets tensors of"):
            meta[torch.tensor([0, 1])]
        with pytest.raises(AssertionError, match="gets tensors of"):
            F.cross_entropy(meta, torch.tensor([0, 1]))
