"""The common loop of federated-learning research code: copy the model, DataLoader, torch.optim.SGD.

Usage: run_loop.py PROBLEM OUT
"""

import copy
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from common import MLP, Clock, Problem, report, single_thread
from torch.utils.data import DataLoader, TensorDataset


def build(problem: Problem) -> torch.nn.Module:
    if problem.model == "mlp":
        return MLP()
    from fedgenbench.models import build as build_ours

    class Logits(torch.nn.Module):
        """Our CNN, without the features that it returns besides."""

        def __init__(self):
            super().__init__()
            self.net = build_ours(problem.model, (1, 28, 28), 10, 0)

        def forward(self, x):
            return self.net(x)[0]

    return Logits()


def train_client(model, dataset, order, batch_size: int, lr: float) -> dict:
    """One local epoch; returns the client's state dict."""
    loader = DataLoader(dataset, batch_size=batch_size, sampler=order)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    return model.state_dict()


def average(states: list[dict], weights: list[float]) -> dict:
    mean = {name: tensor * weights[0] for name, tensor in states[0].items()}
    for state, weight in zip(states[1:], weights[1:], strict=True):
        for name, tensor in state.items():
            mean[name] += tensor * weight
    return mean


def main() -> None:
    single_thread()
    problem, out = Problem(Path(sys.argv[1])), Path(sys.argv[2])
    datasets = [TensorDataset(x, y) for x, y in zip(problem.x, problem.y, strict=True)]
    orders = problem.order.tolist()
    total = sum(len(dataset) for dataset in datasets)
    shares = [len(dataset) / total for dataset in datasets]
    server = build(problem).to(problem.x.dtype)
    prefix = "" if problem.model == "mlp" else "net."
    server.load_state_dict({prefix + name: t for name, t in problem.initial.items()})
    clock = Clock()
    for round_ in range(problem.rounds):
        states = [
            train_client(
                copy.deepcopy(server),
                dataset,
                orders[round_][client],
                problem.batch_size,
                problem.lr,
            )
            for client, dataset in enumerate(datasets)
        ]
        server.load_state_dict(average(states, shares))
        clock.lap()
    weights = {name.removeprefix(prefix): t for name, t in server.state_dict().items()}
    report(out, clock, weights, {})


if __name__ == "__main__":
    main()
