"""Differential privacy of what a client sends: DP-SGD in its local training, and what it spends.

Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar, Zhang, "Deep Learning with Differential Privacy", CCS
2016, Algorithm 1: every sample's gradient is clipped, the sum gets Gaussian noise, and a step sees each
sample with the same probability (Poisson sampling), which the accountant assumes. What is spent is
counted by opacus. torch and opacus are imported inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pydantic import Field

from fedgenbench.core.settings import SGDSettings, Strict
from fedgenbench.federated.types import Batch, State

if TYPE_CHECKING:
    from torch import Tensor

    from fedgenbench.federated.task import Task


class Privacy(Strict):
    """(ε, δ)-differential privacy of one sample of one client, towards all who see what it sends."""

    noise_multiplier: float = Field(
        gt=0, description="Deviation σ of the noise on a sum, in units of `max_grad_norm`."
    )
    max_grad_norm: float = Field(gt=0, description="Largest norm C of a sample's gradient.")
    delta: float = Field(
        gt=0, lt=1, description="δ at which ε is told; below one over the samples."
    )


class Local(SGDSettings):
    """A client's local training, the same for every method of an experiment."""

    privacy: Privacy | None = Field(
        default=None, description="Differential privacy by DP-SGD (docs/robustness.md); null: none."
    )


def private_gradient(
    task: Task,
    loss: Callable[[State, Batch], Tensor],
    state: State,
    batch: Batch,
    train: Iterable[str] | None = None,
) -> State:
    """(Σ_i g_i min(1, C / ‖g_i‖) + σ C z) / B of Algorithm 1 in Abadi et al. 2016.

    Args:
        task: whose ``privacy`` says σ and C.
        loss: the scalar loss of a state on a batch, which here has one sample.
        state: where the gradient is taken.
        batch: with ``noise`` z, one standard normal for each parameter of the model, and ``expected`` B,
            the mean size of a batch; samples with a zero ``mask`` do not count.
        train: names of the parameters that move (default: all); g_i is over these.
    """
    import torch

    privacy = task.privacy
    assert privacy is not None
    assert batch.noise is not None
    assert batch.y is not None
    names = task.parameters if train is None else [n for n in task.parameters if n in train]
    fixed = {name: t for name, t in state.items() if name not in names}

    def of_one(moving: State, x: Tensor, y: Tensor) -> Tensor:
        return loss(fixed | moving, Batch(x[None], y[None]))

    each = torch.vmap(torch.func.grad(of_one), in_dims=(None, 0, 0))
    grads = each({name: state[name] for name in names}, batch.x, batch.y)
    parts = [torch.linalg.vector_norm(grad.flatten(1), dim=1) for grad in grads.values()]
    norms = torch.linalg.vector_norm(torch.stack(parts), dim=0)
    scale = (privacy.max_grad_norm / norms.clamp(min=1e-30)).clamp(max=1)
    if batch.mask is not None:
        scale = scale * batch.mask
    sizes = [state[name].numel() for name in task.parameters]
    noise = dict(zip(task.parameters, batch.noise.split(sizes), strict=True))
    deviation = privacy.noise_multiplier * privacy.max_grad_norm
    return {
        name: (torch.tensordot(scale, grad, 1) + deviation * noise[name].view(grad.shape[1:]))
        / batch.expected
        for name, grad in grads.items()
    }


def epsilon(privacy: Privacy, rate: float, steps: int) -> float:
    """What ``steps`` with Poisson sampling at ``rate`` spend at the settings' δ, for one client.

    By opacus' accountant of Rényi differential privacy: an upper bound, of neighbours that differ by one
    sample which one of them has and the other lacks.
    """
    from opacus.accountants import RDPAccountant

    if not steps:
        return 0.0
    accountant = RDPAccountant()
    accountant.history = [(privacy.noise_multiplier, rate, steps)]
    return float(accountant.get_epsilon(privacy.delta))
