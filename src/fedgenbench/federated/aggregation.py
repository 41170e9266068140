"""Rules by which a server averages uploads, some of which a few hostile clients do not move far.

The default is the mean weighted by samples. Median and trimmed mean: Yin, Chen, Ramchandran, Bartlett,
"Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", ICML 2018, Definitions 1 and
2. Clipped updates: Sun, Kairouz, Suresh, McMahan, "Can You Really Backdoor Federated Learning?", 2019; to
the median of their norms: Andrew, Thakkar, McMahan, Ramaswamy, NeurIPS 2021, with the quantile one half.
torch is imported inside functions, as settings are checked without it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from fedgenbench.core.settings import Strict
from fedgenbench.federated.types import State

if TYPE_CHECKING:
    from torch import Tensor


class Median(Strict):
    """Of each number the median over clients, all of equal weight."""

    rule: Literal["median"]


class TrimmedMean(Strict):
    """Of each number the mean over clients but for the largest and the smallest, of equal weight."""

    rule: Literal["trimmed_mean"]
    trim: float = Field(gt=0, lt=0.5, description="Share β of clients left out at either end.")


class ClippedMean(Strict):
    """The weighted mean of updates, of which none is longer than a bound."""

    rule: Literal["clipped_mean"]
    bound: Annotated[float, Field(gt=0)] | Literal["median"] = Field(
        description="Largest norm of an update; median: that of the round's updates."
    )


Aggregation = Median | TrimmedMean | ClippedMean


def trimmed(trim: float, clients: int) -> int:
    """How many of ``clients`` the trimmed mean leaves out at either end."""
    return math.floor(trim * clients + 1e-9)  # 0.29 · 100 is 28.999999999999996


def average(
    rule: Aggregation | None,
    stacked: State,
    weights: Tensor,
    before: State,
    trained: Collection[str],
) -> State:
    """One state of uploads that are stacked ``[K, ...]``, by ``rule`` (None: the weighted mean).

    Args:
        rule: which average.
        stacked: the uploads by name.
        weights: ``[K]``. Median and trimmed mean weigh all clients alike, and are scaled by the sum.
        before: what the clients began with, from which updates are counted.
        trained: the names that the length of an update is taken over; others (batch norm's statistics)
            are scaled with it.
    """
    from fedgenbench.federated.server import weighted_mean

    match rule:
        case None:
            return weighted_mean(stacked, weights)
        case Median() | TrimmedMean():
            return _middle(rule, stacked, float(weights.sum()))
        case ClippedMean():
            return weighted_mean(_clipped(rule, stacked, before, trained), weights)


def _middle(rule: Median | TrimmedMean, stacked: State, scale: float) -> State:
    made = {}
    for name, values in stacked.items():
        count = len(values)
        cut = (count - 1) // 2 if isinstance(rule, Median) else trimmed(rule.trim, count)
        # What is left of an even number after the median's cut are the two in the middle.
        kept = values.double().sort(0).values[cut : count - cut].mean(0) * scale
        made[name] = (kept if values.is_floating_point() else kept.round()).to(values.dtype)
    return made


def _clipped(rule: ClippedMean, stacked: State, before: State, trained: Collection[str]) -> State:
    """w + min(1, bound / ‖w_k − w‖) (w_k − w) for every client."""
    import torch

    updates = {
        name: values.double() - before[name].double()
        for name, values in stacked.items()
        if values.is_floating_point()
    }
    squares = [u.flatten(1).square().sum(1) for name, u in updates.items() if name in trained]
    if not squares:
        return stacked
    norms = torch.stack(squares).sum(0).sqrt()
    bound = norms.quantile(0.5) if rule.bound == "median" else norms.new_tensor(rule.bound)
    scale = torch.where(norms > bound, bound / norms, 1.0)
    return stacked | {
        name: (before[name] + scale.view(-1, *[1] * (u.dim() - 1)) * u).to(stacked[name].dtype)
        for name, u in updates.items()
    }
