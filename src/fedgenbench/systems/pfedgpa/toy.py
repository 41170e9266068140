"""What each reading of the inversion does to a client, where the best denoiser is known.

Five groups of clients, a Gaussian around each group's centre; the denoiser is the exact one of this
mixture. No training, seconds on a processor core: the table of papers/pfedgpa.md §3.3 again.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from fedgenbench.core.streams import torch_seed
from fedgenbench.systems.pfedgpa.diffusion import Epsilon, Step, T, alphas_bar, diffuse, grid
from fedgenbench.systems.pfedgpa.inversion import RULES, Noise, denoised, invert, noise_of

GROUPS = 5
CLIENTS = 10  # in groups in turn
DIMENSIONS = 4000
SPREAD = 0.3  # root mean square of a client's distance from its group's centre, per coordinate
# Rule, η where there is one, start step.
VARIANTS: tuple[tuple[str, float | None, int], ...] = (
    ("dpm_encoder", 1.0, T),
    ("dpm_encoder", 1.0, 100),
    ("edit_friendly", 1.0, T),
    ("edit_friendly", 0.7, T),
    ("ddim", None, T),
    ("dpm_encoder", 0.9, T),
    ("dpm_encoder", 0.7, T),
    ("dpm_encoder", 0.5, T),
    ("dpm_encoder", 0.0, T),
    ("dpm_encoder", 0.7, 300),
    ("dpm_encoder", 0.5, 300),
    ("dpm_encoder", 0.0, 300),
    ("forward_plus", None, T),
    ("forward_plus", None, 100),
    ("forward_minus", None, 100),
    ("forward_minus", None, 50),
    ("forward_minus", None, T),
    ("sdedit", None, T),
    ("sdedit", None, 200),
    ("sdedit", None, 50),
)


class Row(NamedTuple):
    """What a variant does; root mean squares are per coordinate.

    ``change``, ``correlation`` and ``residual`` are over the clients that kept their group, where a
    residual is the distance from the own group's centre; ``strayed`` is that distance for the others.
    Without such clients a number is nan.
    """

    variant: str
    eta: float | None
    start: int
    kept: float  # share of clients whose nearest centre is still their own
    change: float  # rms of output − input
    correlation: float  # of residuals before and after, mean over clients
    residual: float  # rms of residuals after
    strayed: float


def table(seed: int) -> list[Row]:
    """All variants on the same clients, with all 1000 steps of the chain."""
    generator = torch.Generator().manual_seed(torch_seed(seed, "toy", "centres"))
    centres = torch.randn(GROUPS, DIMENSIONS, generator=generator)
    own = torch.arange(CLIENTS) % GROUPS
    vectors = centres[own] + SPREAD * torch.randn(CLIENTS, DIMENSIONS, generator=generator)
    epsilon = ideal_denoiser(centres, SPREAD)
    rows = []
    for variant, eta, start in VARIANTS:
        draws = [
            torch.Generator().manual_seed(torch_seed(seed, "toy", "inversion", client))
            for client in range(CLIENTS)
        ]
        steps = grid(T, start)
        if variant in RULES:
            out = invert(variant, vectors, epsilon, steps, 1.0 if eta is None else eta, draws)
        else:
            sign = 1.0 if variant == "forward_plus" else -1.0
            out = forward_noises(vectors, epsilon, steps, sign, noise_of(vectors, draws))
        before, after = vectors - centres[own], out - centres[own]
        kept = torch.cdist(out, centres).argmin(1) == own
        rows.append(
            Row(
                variant,
                eta,
                start,
                kept=kept.float().mean().item(),
                change=rms((out - vectors)[kept]),
                correlation=torch.cosine_similarity(before, after)[kept].mean().item(),
                residual=rms(after[kept]),
                strayed=rms(after[~kept]),
            )
        )
    return rows


def ideal_denoiser(centres: Tensor, spread: float) -> Epsilon:
    """The exact noise prediction for a mixture of equal Gaussians about ``centres`` [G, D]."""
    abar = alphas_bar().to(centres)
    norms = centres.square().sum(1)

    def epsilon(x: Tensor, t: Tensor) -> Tensor:
        a = abar[t][:, None]
        variance = a * spread**2 + 1 - a
        belief = torch.softmax((a.sqrt() * (x @ centres.T) - a * norms / 2) / variance, 1)
        centre = a.sqrt() * (belief @ centres)
        # clean = centre/√a + √a·spread²/variance·(x − centre); the noise is what it leaves of x.
        return (x - centre) * ((1 - a).sqrt() / variance)

    return epsilon


def forward_noises(
    codes: Tensor, epsilon: Epsilon, steps: list[Step], sign: float, noise: Noise
) -> Tensor:
    """Decodes with the noises that the *forward* chain added, times ``sign``.

    The chain is drawn from its top down by the posterior, which is the same distribution, so that
    nothing is stored. The lowest step has variance 0 and uses no noise.
    """
    chain = decoded = diffuse(codes, steps[0].abar, noise())
    for step in steps:
        below = step.posterior_mean(chain, codes) + step.sigma * noise()
        added = (chain - sqrt(1 - step.beta) * below) / sqrt(step.beta)
        mean = denoised(step, decoded, epsilon(decoded, step.times(decoded)))
        chain, decoded = below, mean + sign * step.sigma * added
    return decoded


def rms(x: Tensor) -> float:
    return x.square().mean().sqrt().item()
