"""Images between bytes, networks and latents, and the ways in which they are varied."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SHIFT = 2  # pixels
BATCH = 64  # images at a time that an autoencoder takes


def to_tensor(images: np.ndarray) -> Tensor:
    """uint8 [N, H, W, 3] to float32 [N, 3, H, W] in [-1, 1]."""
    # A copy: the data set's arrays are read-only views of a file.
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_bytes(images: Tensor) -> np.ndarray:
    """float [N, 3, H, W] in [-1, 1] to uint8 [N, H, W, 3]; what lies outside is cut off."""
    scaled = (images.float().clamp(-1, 1) + 1) * 127.5
    return scaled.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image [N, 3, H, W] mirrored or not, and shifted by up to 2 pixels over white."""
    count, _, height, width = images.shape
    flip = torch.rand(count, 1, 1, 1, generator=generator) < 0.5
    images = torch.where(flip, images.flip(3), images)
    wide = F.pad(images, (SHIFT,) * 4, value=1.0)
    offsets = torch.randint(2 * SHIFT + 1, (count, 2), generator=generator).tolist()
    return torch.stack(
        [
            image[:, y : y + height, x : x + width]
            for image, (y, x) in zip(wide, offsets, strict=True)
        ]
    )


def recoloured(images: Tensor, generator: torch.Generator) -> Tensor:
    """A quarter of the images in other colours and a quarter in black and white; the rest as is.

    So the autoencoder meets palettes and line art that no public style has.
    """
    kind = torch.randint(4, (len(images), 1, 1, 1), generator=generator)
    order = torch.randperm(3, generator=generator)
    level = torch.rand(len(images), 1, 1, 1, generator=generator) - 0.5
    contrast = (8 * (images.mean(1, keepdim=True) - level)).clamp(-1, 1).expand_as(images)
    return torch.where(kind == 0, images[:, order], torch.where(kind == 1, contrast, images))


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
