"""A classification task seen as pure functions of named tensors.

All functions here are written for one client; an engine maps them over clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from fedgenbench.core.settings import Statistics
from fedgenbench.federated.privacy import Privacy
from fedgenbench.federated.types import SGD, Batch, Output, Slots, State
from fedgenbench.models.statistics import recalibrated


class Task:
    """A model skeleton, the names of its tensors, and differentiation for one client."""

    def __init__(
        self,
        module: nn.Module,
        classes: int,
        sgd: SGD,
        statistics: Statistics = "recalibrated",
        privacy: Privacy | None = None,
    ):
        self.module = module
        self.classes = classes
        self.optimiser = sgd
        self.privacy = privacy
        self.parameters = [name for name, _ in module.named_parameters()]
        self.size = sum(parameter.numel() for parameter in module.parameters())
        self.buffers = [name for name, _ in module.named_buffers()]
        self.head = {name for name in self.parameters if name.startswith("head.")}
        self.body = set(self.parameters) - self.head
        # Batch norm is told by its running statistics; its affine tensors belong to it.
        layers = {name.rpartition(".")[0] for name in self.buffers}
        names = [*self.parameters, *self.buffers]
        self.norm = {name for name in names if name.rpartition(".")[0] in layers}
        self.recalibrates = bool(self.buffers) and statistics == "recalibrated"
        # torch.func's transform composes with vmap; eager autograd is quicker for one client.
        self.grad = grad_eager

    def initial_state(self) -> State:
        return {name: t.detach().clone() for name, t in self.module.state_dict().items()}

    def forward(self, model: State, batch: Batch, train: bool = True) -> Output:
        """One pass; ``train`` uses batch statistics and returns the moved running ones."""
        if self.module.training is not train:
            self.module.train(train)
        state = dict(model)  # functional_call writes reassigned buffers back into it
        logits, features = functional_call(self.module, state, (batch.x, batch.mask), strict=True)
        return Output(logits, features, {name: state[name].detach() for name in self.buffers})

    def logits(self, model: State, x: Tensor) -> Tensor:
        return self.forward(model, Batch(x), train=False).logits

    def recalibrated(self, model: State, images: Callable[[Tensor], Tensor], rows: Tensor) -> State:
        """``model`` with the batch-norm statistics of its weights over ``images(rows)``."""
        return recalibrated(self.module, model, images, rows)

    def classify(self, head: State, features: Tensor) -> Tensor:
        """Logits of the last layer with the tensors ``head`` (named as in the model)."""
        own = {name.removeprefix("head."): t for name, t in head.items()}
        return functional_call(self.module.get_submodule("head"), own, (features,))

    def gradient(
        self,
        loss: Callable[[State], tuple[Tensor, Any]],
        state: State,
        train: Iterable[str] | None = None,
    ) -> tuple[State, Any]:
        """Gradient of ``loss`` at ``state`` for the tensors ``train`` (default: all parameters).

        ``loss`` maps a state to a scalar and to what else is wanted of the pass, returned as it is.
        """
        names = self.parameters if train is None else [n for n in self.parameters if n in train]
        fixed = {name: t for name, t in state.items() if name not in names}
        moving = {name: state[name] for name in names}
        return self.grad(lambda moving: loss(fixed | moving), moving)

    def descend(
        self,
        slots: Slots,
        slot: str,
        grads: State,
        buffers: State,
        optimiser: SGD | None = None,
    ) -> Slots:
        """One SGD step of a slot along ``grads``; ``buffers`` replace the slot's.

        The momentum buffer is a slot of its own, which the engine drops when a phase ends.
        """
        lr, momentum, decay = optimiser or self.optimiser
        state, key = slots[slot], f"momentum:{slot}"
        velocity = dict(slots.get(key, {}))
        new = {**state, **buffers}
        for name, step in grads.items():
            if decay:
                step = torch.add(step, state[name], alpha=decay)
            if momentum:
                if name in velocity:
                    step = torch.add(step, velocity[name], alpha=momentum)
                velocity[name] = step
            new[name] = torch.sub(state[name], step, alpha=lr)
        return slots | {slot: new} | ({key: velocity} if momentum else {})

    def sgd(
        self,
        slots: Slots,
        slot: str,
        loss: Callable[[State], tuple[Tensor, State]],
        train: Iterable[str] | None = None,
        optimiser: SGD | None = None,
        adjust: Callable[[State], State] | None = None,
    ) -> Slots:
        """One SGD step of ``loss`` on the tensors ``train`` (default: all parameters) of a slot.

        ``loss`` maps the slot's state to the scalar loss and the buffers after the pass.
        ``adjust`` may change the gradients before weight decay and momentum.
        """
        grads, buffers = self.gradient(loss, slots[slot], train)
        if adjust is not None:
            grads = adjust(grads)
        return self.descend(slots, slot, grads, buffers, optimiser)


def grad_eager(loss: Callable[[State], tuple[Tensor, Any]], at: State) -> tuple[State, Any]:
    """Gradient of ``loss`` at ``at`` and its auxiliary result, by eager autograd."""
    leaves = {name: t.detach().requires_grad_() for name, t in at.items()}
    value, aux = loss(leaves)
    grads = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, grads, strict=True)), aux


def grad_functional(loss: Callable[[State], tuple[Tensor, Any]], at: State) -> tuple[State, Any]:
    """The same by ``torch.func``, for use under ``vmap``."""
    return torch.func.grad(loss, has_aux=True)(at)


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of per-sample ``values`` [B] over the samples that count."""
    if mask is None:
        return values.mean()
    return (values * mask).sum() / mask.sum().clamp(min=1)


def cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    """Mean cross-entropy over the samples that count."""
    assert batch.y is not None
    if batch.mask is None:
        return F.cross_entropy(logits, batch.y)
    return masked_mean(F.cross_entropy(logits, batch.y, reduction="none"), batch.mask)


def distillation(
    student: Tensor, teacher: Tensor, temperature: float, mask: Tensor | None
) -> Tensor:
    """T² KL(teacher ‖ student) of logits [B, classes] at temperature T, mean over what counts."""
    log_student, log_teacher = (F.log_softmax(z / temperature, 1) for z in (student, teacher))
    divergence = F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(1)
    return temperature**2 * masked_mean(divergence, mask)


def proximal(grads: State, state: State, anchor: State, strength: float) -> State:
    """``grads`` plus the gradient of ``strength``/2 · ‖state − anchor‖²."""
    return {
        name: torch.add(grad, state[name] - anchor[name], alpha=strength)
        for name, grad in grads.items()
    }
