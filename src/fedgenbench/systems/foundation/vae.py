"""Training of the autoencoder, and the factor that brings its latents to unit deviation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.streams import torch_seed
from fedgenbench.images.pixels import encoded, moved, recoloured, reconstructed, to_tensor
from fedgenbench.systems.foundation import networks
from fedgenbench.systems.foundation.plan import training_identity
from fedgenbench.systems.foundation.pool import Pool
from fedgenbench.systems.foundation.settings import VaeJob
from fedgenbench.systems.foundation.training import train


def train_vae(
    settings: VaeJob,
    pool: Pool,
    device: str,
    *,
    folder: Path,
    tell: Callable[[int, str], None],
) -> tuple[Any, list[dict[str, Any]]]:
    """The trained ``AutoencoderKL``, its scaling factor set, and the history of its training.

    It goes on from what an earlier training left in ``folder``.

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
        checkpoint=Checkpoint(folder, training_identity(settings, pool.sha256)),
        tell=tell,
    )
    # Stable Diffusion's convention: latents are multiplied by 1 / their deviation.
    network.register_to_config(scaling_factor=1 / encoded(network, images).std().item())
    return network, history
