"""FedDF (Lin et al., 2020): in each round the clients' models teach the server's on public images."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.settings import SGDSettings
from fedgenbench.systems.fedlmg.training import (
    distilled,
    fine_tuning,
    mean_of,
    probabilities,
    train,
)

PART = "rounds"  # of the checkpoint


@dataclass(frozen=True)
class FedDF:
    """Training of clients and server, the rounds, and who has which architecture; ``start`` gives an
    architecture's initial model."""

    training: SGDSettings
    distillation: SGDSettings
    rounds: int
    start: Callable[[str], nn.Module]
    architectures: Sequence[str]
    server: str
    seed: int


def feddf(
    plan: FedDF,
    held: Sequence[tuple[Tensor, Tensor]],
    public: Tensor,
    *,
    checkpoint: Checkpoint,
    tell: Callable[[int, str], None],
) -> nn.Module:
    """The server's model after all rounds (Algorithm 3 there: architectures may differ).

    Each client trains the model of its architecture on its images ``held`` [n, C, H, W] and labels; the
    clients' models of one architecture are averaged; each average, and the server's own model where
    nobody has its architecture, is then taught by the mean softmax output of all clients' models on
    the ``public`` images [m, C, H, W], which have no labels. ``checkpoint`` has the last finished round.
    """
    architectures, rounds, seed = plan.architectures, plan.rounds, plan.seed
    models = {name: plan.start(name) for name in dict.fromkeys((*architectures, plan.server))}
    nothing = torch.zeros(len(public), dtype=torch.long, device=public.device)
    first = 0
    if kept := checkpoint.tensors(PART):
        for name, model in models.items():
            head = f"{name}/"
            state = {k.removeprefix(head): t for k, t in kept[0].items() if k.startswith(head)}
            model.load_state_dict(state)
        first = kept[1]["round"] + 1
    for number in range(first, rounds):
        sent = []
        for client, (name, (x, y)) in enumerate(zip(architectures, held, strict=True)):
            mine = copy.deepcopy(models[name])
            address = (seed, "fedlmg", "feddf", client, number)
            train(
                plan.training,
                mine,
                x,
                y,
                fine_tuning,
                address=address,
                who=f"FedDF's client {client}",
            )
            sent.append(mine.eval())
        teachers = probabilities(sent, public).mean(0)
        for name, model in models.items():
            if own := [m for m, a in zip(sent, architectures, strict=True) if a == name]:
                model.load_state_dict(mean_of(own))
            train(
                plan.distillation,
                model,
                public,
                nothing,
                distilled(teachers, labelled=False),
                address=(seed, "fedlmg", "feddf", "server", number),
                who=f"FedDF's server ({name})",
            )
            model.eval()
        state = {f"{n}/{k}": t for n, m in models.items() for k, t in m.state_dict().items()}
        checkpoint.put(PART, state, {"round": number})
        tell(number + 1, f"FedDF, round {number + 1}")
    return models[plan.server]
