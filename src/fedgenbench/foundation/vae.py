"""Training of the autoencoder, and the factor that brings its latents to unit deviation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fedgenbench.foundation import networks
from fedgenbench.foundation.images import moved, recoloured, to_tensor
from fedgenbench.foundation.plan import training_identity
from fedgenbench.foundation.pool import Pool
from fedgenbench.foundation.settings import VaeJob
from fedgenbench.foundation.training import train
from fedgenbench.rng import torch_seed

BATCH = 64  # images encoded or decoded at once, where nothing is trained


def train_vae(
    settings: VaeJob,
    pool: Pool,
    device: str,
    *,
    checkpoint: Path,
    tell: Callable[[int, str], None],
) -> tuple[Any, list[dict[str, Any]]]:
    """The trained ``AutoencoderKL``, its scaling factor set, and the history of its training.

    The loss is the mean absolute pixel error plus the weighted KL divergence of the latents from
    a standard normal; validation is the error alone, on names that no step sees.
    """
    chosen = settings.vae
    network = networks.vae(chosen, torch_seed(settings.seed, "foundation", "vae", "weights"))
    network.to(device)
    seen = pool.part(held_out=False)
    images, odds = to_tensor(seen.images), torch.from_numpy(seen.weights(settings.shares))
    unseen = to_tensor(pool.validation(settings.shares, settings.seed).images).to(device)

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.multinomial(odds, chosen.training.batch_size, True, generator=generator)
        batch = recoloured(moved(images[rows], generator), generator).to(device)
        posterior = network.encode(batch).latent_dist
        latents = posterior.sample(generator)
        error = F.l1_loss(network.decode(latents).sample, batch)
        return error + chosen.kl_weight * posterior.kl().mean() / latents[0].numel()

    history = train(
        network,
        loss,
        lambda: F.l1_loss(reconstructed(network, unseen), unseen).item(),
        chosen.training,
        stream=(settings.seed, "foundation-vae"),
        checkpoint=checkpoint,
        identity=training_identity(settings, pool.sha256),
        tell=tell,
    )
    # Stable Diffusion's convention: latents are multiplied by 1 / their deviation.
    network.register_to_config(scaling_factor=1 / encoded(network, images).std().item())
    return network, history


@torch.no_grad()
def encoded(network: Any, images: Tensor) -> Tensor:
    """Posterior means [N, C, h, w] of images [N, 3, H, W], not scaled."""
    parts = [
        network.encode(part.to(network.device)).latent_dist.mode() for part in images.split(BATCH)
    ]
    return torch.cat(parts)


@torch.no_grad()
def reconstructed(network: Any, images: Tensor) -> Tensor:
    """Images [N, 3, H, W] as the autoencoder gives them back."""
    parts = [network.decode(part).sample for part in encoded(network, images).split(BATCH)]
    return torch.cat(parts)
