"""Diffusion over client vectors: schedule, loss and training steps (papers/pfedgpa.md §3.2, §8)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import sqrt
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from torch import Tensor, nn

from fedgenbench.core.errors import UserError
from fedgenbench.federated.types import State
from fedgenbench.systems.pfedgpa.networks import averaged

T = 1000
LR = 1e-3
WEIGHT_DECAY = 2e-6

# (x [K, D], t [K] int64) -> the noise in x [K, D].
Epsilon = Callable[[Tensor, Tensor], Tensor]


def schedule() -> DDPMScheduler:
    """T = 1000, linear β from 1e-4 to 0.02, noise prediction, small variance, no clipping."""
    return DDPMScheduler(
        num_train_timesteps=T,
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule="linear",
        prediction_type="epsilon",
        variance_type="fixed_small",
        clip_sample=False,
        timestep_spacing="leading",
    )


class Step(NamedTuple):
    """One step down a grid, from time ``t`` with signal share ᾱ = ``abar`` to ``abar_below``.

    The lowest step ends in the clean vector, ``abar_below`` = 1.
    """

    t: int
    abar: float
    abar_below: float

    @property
    def beta(self) -> float:
        return 1 - self.abar / self.abar_below

    @property
    def sigma(self) -> float:
        """Standard deviation of the posterior q(x below | x, clean)."""
        return sqrt((1 - self.abar_below) / (1 - self.abar) * self.beta)

    def posterior_mean(self, x: Tensor, clean: Tensor) -> Tensor:
        """Mean of q(x below | x, clean)."""
        of_clean = sqrt(self.abar_below) * self.beta / (1 - self.abar)
        of_x = sqrt(1 - self.beta) * (1 - self.abar_below) / (1 - self.abar)
        return of_clean * clean + of_x * x

    def clean(self, x: Tensor, eps: Tensor) -> Tensor:
        """The clean vector that ``eps`` in ``x`` stands for."""
        return (x - sqrt(1 - self.abar) * eps) / sqrt(self.abar)

    def times(self, x: Tensor) -> Tensor:
        """``t`` for each row of ``x``."""
        return torch.full((len(x),), self.t, device=x.device)


def grid(steps: int, start: int) -> list[Step]:
    """The ``steps`` strided times below ``start``, from the highest down to 0.

    ``steps`` counts the grid of the whole chain: 50 gives 980, 960, … 0, and with ``start`` 100 the
    last five of them.

    Raises:
        UserError: ``steps`` does not divide 1000, or ``start`` is not in 1 to 1000.
    """
    if steps < 1 or T % steps:
        raise UserError(f"{steps} inversion steps do not divide the {T} of the chain evenly.")
    if not 1 <= start <= T:
        raise UserError(f"inversion starts at step 1 to {T}, not at {start}.")
    scheduler = schedule()
    scheduler.set_timesteps(steps)
    abar = alphas_bar().tolist()
    times = [t for t in scheduler.timesteps.tolist() if t < start]
    shares = [*(abar[t] for t in times), 1.0]
    return [Step(t, *pair) for t, pair in zip(times, pairwise(shares), strict=True)]


def alphas_bar() -> Tensor:
    """ᾱ [1000] in float64, of the scheduler's own β."""
    return (1 - schedule().betas.double()).cumprod(0)


def diffuse(clean: Tensor, abar: float, noise: Tensor) -> Tensor:
    """A draw of q(x | clean) at signal share ``abar``."""
    return sqrt(abar) * clean + sqrt(1 - abar) * noise


def ddpm_loss(
    network: nn.Module, clean: Tensor, scheduler: DDPMScheduler, generator: torch.Generator
) -> Tensor:
    """Mean squared error of the predicted noise; each row of ``clean`` [N, D] has its own time."""
    t = torch.randint(T, (len(clean),), generator=generator).to(clean.device)
    noise = torch.randn(clean.shape, generator=generator).to(clean)
    return F.mse_loss(network(scheduler.add_noise(clean, noise, t), t), noise)


class Training:
    """A network with its AdamW optimiser and the moving average of its weights."""

    def __init__(self, network: nn.Module):
        self.network = network
        self.average = averaged(network)
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, fused=True
        )

    def step(self, loss: Callable[[nn.Module], Tensor]) -> Tensor:
        """One step down ``loss(network)``; returns its value before the step."""
        self.optimiser.zero_grad()
        value = loss(self.network)
        value.backward()
        self.optimiser.step()
        self.average.update_parameters(self.network)
        return value.detach()

    def state(self) -> State:
        """The live tensors that further steps depend on, ready for a safetensors file."""
        moments = self.optimiser.state_dict()["state"]
        return (
            {f"network/{name}": t for name, t in self.network.state_dict().items()}
            | {f"average/{name}": t for name, t in self.average.state_dict().items()}
            | {f"adam/{row}/{name}": t for row, m in moments.items() for name, t in m.items()}
        )

    def load(self, state: State) -> None:
        """Goes on from ``state``; the network must be of the same form."""
        moments: dict[int, State] = {}
        parts: dict[str, State] = {"network": {}, "average": {}}
        for key, tensor in state.items():
            part, name = key.split("/", 1)
            if part == "adam":
                row, name = name.split("/")
                moments.setdefault(int(row), {})[name] = tensor.clone()
            else:
                parts[part][name] = tensor
        self.network.load_state_dict(parts["network"])
        self.average.load_state_dict(parts["average"])
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": moments})
