"""What generation did to each client's weights: is it aggregation, a copy, or nothing at all?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fedgenbench.federated.types import State
from fedgenbench.systems.pfedgpa.buffer import ReplayBuffer
from fedgenbench.systems.pfedgpa.inversion import noise_of


def movement(vectors: Tensor, made: Tensor) -> State:
    """How far the weights ``vectors`` [K, D] of each client are from ``made`` [K, D]; numbers [K].

    ``change``  ‖θ̂ − θ‖ / ‖θ‖.
    ``moved``   ‖θ̂ − θ‖ / ‖θ − mean of all θ‖. The shared start makes up most of ‖θ‖; this is the
                share of what is the client's own: 0 is pure local training, 1 as far as the mean.
    """
    step = (made - vectors).norm(dim=1)
    own = (vectors - vectors.mean(0)).norm(dim=1)
    tiny = torch.finfo(step.dtype).tiny
    return {
        "change": step / vectors.norm(dim=1).clamp_min(tiny),
        "moved": step / own.clamp_min(tiny),
    }


def nearness(codes: Tensor, buffer: ReplayBuffer, stored: Tensor) -> State:
    """Which stored upload is nearest to the generated ``codes`` [K, L]; numbers [K] per client.

    ``stored`` [M, L] are the codes of the buffer.

    ``nearest`` the client whose stored upload is nearest to θ̂, in codes.
    ``gap``     the distance to it, in units of the stored codes' root mean square norm: near 0 is a
                copy.
    """
    distance, row = torch.cdist(codes, stored).min(1)
    spread = stored.square().sum(1).mean().sqrt()
    return {
        "nearest": buffer.clients.to(row.device)[row],
        "gap": distance / spread.clamp_min(torch.finfo(spread.dtype).tiny),
    }


def noised(
    vectors: Tensor, made: Tensor, scale: Tensor, generators: list[torch.Generator]
) -> Tensor:
    """[K, D]: each client's ``vectors`` with Gaussian noise, as far from them as ``made`` [K, D] is.

    ``scale`` [D] is the noise's deviation by weight before its length is set. ``generators`` are one
    per client.
    """
    noise = noise_of(vectors, generators)() * scale
    length = noise.norm(dim=1).clamp_min(torch.finfo(noise.dtype).tiny)
    return vectors + noise * ((made - vectors).norm(dim=1) / length)[:, None]


def overlap(right: Sequence[Tensor], others: Sequence[Tensor]) -> list[float]:
    """Intersection over union of the images that two models get wrong, by client; 1 where neither errs.

    ``right`` and ``others`` hold a bool tensor [n] per client: which images each model gets right. The
    measure of memorisation of Zeng et al., "Generative Modeling of Weights: Generalization or
    Memorization?" (CVPR 2026, arXiv 2506.07998), there of generated weights and stored checkpoints.
    """
    shares = []
    for one, other in zip(right, others, strict=True):
        either = int((~one | ~other).sum())
        shares.append(int((~one & ~other).sum()) / either if either else 1.0)
    return shares
