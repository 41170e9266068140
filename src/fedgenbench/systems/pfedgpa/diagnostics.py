"""What generation did to each client's weights: is it aggregation, a copy, or nothing at all?"""

from __future__ import annotations

import torch
from torch import Tensor

from fedgenbench.federated.types import State
from fedgenbench.systems.pfedgpa.buffer import ReplayBuffer


def generation_log(
    vectors: Tensor, made: Tensor, codes: Tensor, buffer: ReplayBuffer, stored: Tensor
) -> State:
    """Numbers [K] per client whose weights ``vectors`` [K, D] became ``made`` [K, D].

    ``codes`` [K, L] are those of ``made``, ``stored`` [M, L] those of the buffer.

    ``change``  ‖θ̂ − θ‖ / ‖θ‖.
    ``moved``   ‖θ̂ − θ‖ / ‖θ − mean of all θ‖. The shared start makes up most of ‖θ‖; this is the
                share of what is the client's own: 0 is pure local training, 1 as far as the mean.
    ``nearest`` the client whose stored upload is nearest to θ̂, in codes.
    ``gap``     the distance to it, in units of the stored codes' root mean square norm: near 0 is a
                copy.
    """
    step = (made - vectors).norm(dim=1)
    own = (vectors - vectors.mean(0)).norm(dim=1)
    distance, row = torch.cdist(codes, stored).min(1)
    spread = stored.square().sum(1).mean().sqrt()
    tiny = torch.finfo(step.dtype).tiny
    return {
        "change": step / vectors.norm(dim=1).clamp_min(tiny),
        "moved": step / own.clamp_min(tiny),
        "nearest": buffer.clients.to(row.device)[row],
        "gap": distance / spread.clamp_min(tiny),
    }
