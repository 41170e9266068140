"""An unCLIP small enough to train in seconds, beside the miniature foundation model."""

import torch
from miniature import untrained

from fedgenbench.systems.foundation import unclip
from fedgenbench.systems.foundation.unclip_settings import UnCLIP

WIDTH = 8  # of an embedding


def settings(steps: int = 4, **conditioning) -> UnCLIP:
    training = {"steps": steps, "batch_size": 4, "lr": 2e-3, "ema": 0.5, "save_every": 2}
    encoder = {"patch": 8, "width": 16, "layers": 1, "heads": 2, "projection": WIDTH}
    return UnCLIP.model_validate(
        {
            "source": "models/foundation",
            "seed": 0,
            "encoder": encoder | {"training": training},
            "conditioning": {"dropout": 0.1, "variants": 2, "training": training} | conditioning,
        }
    )


def normalizer():
    """Mean and deviation of embeddings that are neither 0 nor 1."""
    from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer

    found = StableUnCLIPImageNormalizer(WIDTH).requires_grad_(False)
    found.mean.copy_(torch.linspace(-1, 1, WIDTH))
    found.std.copy_(torch.linspace(0.5, 2, WIDTH))
    return found


def denoiser(base=None, strength: float = 1.0):
    """With random layers for embeddings; of strength 0 they are as before training."""
    base = base or untrained()
    unet = unclip.conditional(base.unet, WIDTH, 5).eval()
    weight = unet.class_embedding.linear_2.weight
    draws = torch.randn(weight.shape, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        weight.copy_(strength * draws)
    return unclip.Denoiser(base, unet, normalizer())


def pipeline():
    """A whole pipeline with random weights."""
    vision = unclip.image_encoder(settings().encoder, 4).eval()
    base = untrained()
    return unclip.assemble(base, vision, denoiser(base))
