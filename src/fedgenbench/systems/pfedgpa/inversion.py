"""Inversion and denoising in place of averaging: readings of Eq. (15) (papers/pfedgpa.md §3.3).

The form of the equation is not known. With one unconditional network, decoding an exact code gives
the client's own vector back, so each rule says where it loses or changes something:

``dpm_encoder``       x_T and the noises of a posterior path, solved for the network and scaled by η;
                      η = 1 is the identity, less pulls a client towards the learned mode.
``edit_friendly``     the same with all x_t drawn independently; the lowest noise is dropped.
``ddim``              deterministic forward and backward steps; the identity up to discretisation.
``sdedit``            noise up to the start step, then fresh noise on the way down.
``autoencoder_only``  the code as it is: what changes is what the autoencoder loses.
``latent_mean``       the mean code of all clients.

No latent code is ever stored: encoding and decoding go down the steps together. Whatever the number
of steps, a rule holds fewer than ten matrices [K, D] at once, beside what the network needs: 3 MB for a
hundred latents of 752 numbers, 0.5 GB for a hundred whole models of 117,066 weights.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Literal

import torch
from torch import Tensor

from fedgenbench.core.errors import UserError
from fedgenbench.systems.pfedgpa.diffusion import Epsilon, Step, diffuse

Sign = Literal["towards", "printed"]

# Fresh standard normal noise [K, D].
Noise = Callable[[], Tensor]
Rule = Callable[[Tensor, Epsilon, list[Step], float, Noise], Tensor]


@torch.no_grad()
def invert(
    rule: str,
    codes: Tensor,
    epsilon: Epsilon,
    grid: list[Step],
    eta: float,
    generators: list[torch.Generator],
) -> Tensor:
    """The generated codes [K, D] of clients with ``codes`` [K, D].

    ``grid`` comes from ``diffusion.grid``. ``eta`` scales the solved noises of ``dpm_encoder`` and
    ``edit_friendly``; other rules have none. ``generators`` are one per client, on the CPU, so that
    a client's result depends neither on who else is there nor on the device's generator.

    Raises:
        UserError: the rule is unknown.
    """
    if rule not in RULES:
        raise UserError(f"no inversion rule {rule!r}; there are {', '.join(RULES)}.")
    return RULES[rule](codes, epsilon, grid, eta, noise_of(codes, generators))


def noise_of(like: Tensor, generators: list[torch.Generator]) -> Noise:
    """Draws row k of [K, D] from generator k."""
    width = like.shape[1]
    return lambda: torch.stack([torch.randn(width, generator=g) for g in generators]).to(like)


def dpm_encoder(
    codes: Tensor, epsilon: Epsilon, grid: list[Step], eta: float, noise: Noise
) -> Tensor:
    """DPM-Encoder: x_t follow the posterior q(x below | x, codes).

    The lowest step, whose variance is 0, keeps its residual as well, so that η = 1 is exact for any
    network. Two matrices [K, D], encoded and decoded, live from step to step.
    """

    def path(step: Step, x: Tensor) -> Tensor:
        return step.posterior_mean(x, codes).add_(noise(), alpha=step.sigma)

    return _solve(codes, epsilon, grid, eta, noise, path, lowest=1.0)


def edit_friendly(
    codes: Tensor, epsilon: Epsilon, grid: list[Step], eta: float, noise: Noise
) -> Tensor:
    """Edit-friendly DDPM inversion: x_t drawn independently of each other from q(x | codes).

    The lowest noise is zero, as published: η = 1 misses the input by about 0.01 times the error of
    the network there. Two matrices [K, D], encoded and decoded, live from step to step.
    """

    def path(step: Step, x: Tensor) -> Tensor:
        return diffuse(codes, step.abar_below, noise())

    return _solve(codes, epsilon, grid, eta, noise, path, lowest=0.0)


def _solve(
    codes: Tensor,
    epsilon: Epsilon,
    grid: list[Step],
    eta: float,
    noise: Noise,
    path: Callable[[Step, Tensor], Tensor],
    lowest: float,
) -> Tensor:
    """Solves σ_t z_t = x below − mean(x) on the way down of ``path``, and decodes with η σ_t z_t.

    ``lowest`` scales the residual of the lowest step.
    """
    encoded = decoded = diffuse(codes, grid[0].abar, noise())
    for step in grid:
        mean = denoised(step, encoded, epsilon(encoded, step.times(encoded)))
        residual = path(step, encoded).sub_(mean)
        if step is grid[-1]:
            residual *= lowest
        # Built from mean and residual, not taken from the path: rounding does not pile up.
        encoded = mean.add_(residual)
        mean = denoised(step, decoded, epsilon(decoded, step.times(decoded)))
        decoded = mean.add_(residual, alpha=eta)
    return decoded


def ddim(codes: Tensor, epsilon: Epsilon, grid: list[Step], eta: float, noise: Noise) -> Tensor:
    """DDIM inversion by forward Euler steps up the grid, then DDIM steps down; draws no noise.

    One matrix [K, D] lives from step to step.
    """
    x = codes
    times = [step.times(codes) for step in grid]
    for step, t in zip(reversed(grid), [times[-1], *reversed(times[1:])], strict=True):
        x = _move(x, epsilon(x, t), step.abar_below, step.abar)
    for step, t in zip(grid, times, strict=True):
        x = _move(x, epsilon(x, t), step.abar, step.abar_below)
    return x


def _move(x: Tensor, eps: Tensor, abar: float, to: float) -> Tensor:
    """From one signal share to another with the noise ``eps`` held fixed."""
    clean = (x - sqrt(1 - abar) * eps) / sqrt(abar)
    return diffuse(clean, to, eps)


def sdedit(codes: Tensor, epsilon: Epsilon, grid: list[Step], eta: float, noise: Noise) -> Tensor:
    """SDEdit: noised to the start of the grid, then sampled down."""
    return sample(diffuse(codes, grid[0].abar, noise()), epsilon, grid, noise)


def autoencoder_only(
    codes: Tensor, epsilon: Epsilon, grid: list[Step], eta: float, noise: Noise
) -> Tensor:
    """The codes themselves; the network is not asked."""
    return codes.clone()


def latent_mean(
    codes: Tensor, epsilon: Epsilon, grid: list[Step], eta: float, noise: Noise
) -> Tensor:
    """The plain mean of all codes, in client order and float64, for every client."""
    total = torch.zeros(codes.shape[1], dtype=torch.float64, device=codes.device)
    for code in codes:
        total.add_(code)
    return (total / len(codes)).to(codes.dtype).repeat(len(codes), 1)


RULES: dict[str, Rule] = {
    "dpm_encoder": dpm_encoder,
    "edit_friendly": edit_friendly,
    "ddim": ddim,
    "sdedit": sdedit,
    "autoencoder_only": autoencoder_only,
    "latent_mean": latent_mean,
}


def denoised(step: Step, x: Tensor, eps: Tensor) -> Tensor:
    """The mean of a denoising step, Eq. (6) without its noise (papers/pfedgpa.md §3.2)."""
    return step.posterior_mean(x, step.clean(x, eps))


def sample(x: Tensor, epsilon: Epsilon, grid: list[Step], noise: Noise) -> Tensor:
    """Ancestral sampling down the grid from ``x`` [K, D]: Eq. (6)."""
    for step in grid:
        mean = denoised(step, x, epsilon(x, step.times(x)))
        x = mean.add_(noise(), alpha=step.sigma)
    return x


def guided_epsilon(eps: Tensor, direction: Tensor, abar: float, omega: float, sign: Sign) -> Tensor:
    """``eps`` [K, D] led by a client's last update ``direction`` = θˡ − θˡ⁻¹ [K, D].

    ε − √(1−ᾱ) (1+ω) u with u the direction over its root mean square, so that ω has no unit; ω = −1
    is no guidance. "towards" goes along the update; "printed" is the sign of Algorithm 1 as it can
    be read, which goes away from it (papers/pfedgpa.md §3.4). A zero direction leaves ``eps``.
    """
    rms = direction.square().mean(1, keepdim=True).sqrt()
    unit = direction / rms.clamp_min(torch.finfo(rms.dtype).tiny)
    scale = sqrt(1 - abar) * (1 + omega) * {"towards": 1.0, "printed": -1.0}[sign]
    return torch.sub(eps, unit, alpha=scale)


@torch.no_grad()
def guided_sample(
    codes: Tensor,
    direction: Tensor,
    epsilon: Epsilon,
    grid: list[Step],
    omega: float,
    sign: Sign,
    generators: list[torch.Generator],
) -> Tensor:
    """A new client's initialisation: guided denoising down ``grid``, from ``codes`` [K, D] as they are.

    Algorithm 1 starts from the current parameters and adds no noise to them; ``grid`` is the last s
    steps of a grid, ``diffusion.grid(...)[-s:]``.
    """
    abar = {step.t: step.abar for step in grid}

    def guided(x: Tensor, t: Tensor) -> Tensor:
        return guided_epsilon(epsilon(x, t), direction, abar[int(t[0])], omega, sign)

    return sample(codes, guided, grid, noise_of(codes, generators))
