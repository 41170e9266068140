"""This library. Usage: run_ours.py PROBLEM OUT ENGINE, or run_ours.py --make PROBLEM NAME TYPE."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from common import Clock, Problem, report, single_thread

from fedgenbench.core.streams import stream
from fedgenbench.federated.data import BatchOrder, FederatedData
from fedgenbench.federated.method import method_class
from fedgenbench.federated.rounds import Federation
from fedgenbench.federated.task import Task
from fedgenbench.federated.types import SGD
from fedgenbench.models import build

SEED = 0
# name: model, clients, samples of each, batch size, timed rounds
PROBLEMS = {
    "mlp": ("mlp", 50, 50, 10, 20),
    "cnn": ("fedpac_cnn", 50, 50, 10, 5),
    "cnn_large": ("fedpac_cnn", 10, 600, 50, 5),
}
LR = 0.1
TEST = 1000


def samples(rng: np.random.Generator, prototypes: np.ndarray, n: int) -> tuple:
    """Ten noisy prototypes of 7×7 fields: learnable, and made in a moment on any machine."""
    y = rng.integers(0, 10, n)
    x = prototypes[y] + rng.normal(0, 2, (n, 28, 28, 1))
    return x.astype(np.float32), y


def federated(x: torch.Tensor, y: torch.Tensor, test: int) -> FederatedData:
    """``x`` [clients, n, C, H, W]; the last ``test`` rows of all are everybody's test rows."""
    clients, n = y.shape
    rows = torch.arange(clients * n).view(clients, n)
    images = x.flatten(0, 1).permute(0, 2, 3, 1).contiguous()
    return FederatedData(images, y.flatten(), list(rows), [rows.flatten()[-test:]] * clients)


def make(path: Path, name: str, dtype: str) -> None:
    """Writes the problem that all contestants read."""
    model, clients, n, batch_size, timed = PROBLEMS[name]
    rng = stream(SEED, "benchmark")
    prototypes = rng.normal(0, 0.4, (10, 7, 7, 1)).repeat(4, 1).repeat(4, 2)
    x, y = samples(rng, prototypes, clients * n)
    x_test, y_test = samples(rng, prototypes, TEST)
    x = torch.from_numpy(x.astype(dtype)).view(clients, n, 1, 28, 28)
    y = torch.from_numpy(y).view(clients, n)
    data = federated(x, y, 1)
    order = [
        [
            BatchOrder(data, batch_size, SEED, round_).epoch(client, 0)[0].numpy() - client * n
            for client in range(clients)
        ]
        for round_ in range(1, timed + 3)
    ]
    initial = build(model, data.shape, 10, SEED).state_dict()
    notes = {"batch_size": batch_size, "lr": LR, "model": model}
    np.savez(
        path,
        x=x.numpy(),
        y=y.numpy(),
        x_test=x_test.reshape(-1, 1, 28, 28),
        y_test=y_test,
        order=np.array(order),
        notes=json.dumps(notes),
        **{f"initial/{name}": t.numpy().astype(dtype) for name, t in initial.items()},
    )


def main() -> None:
    single_thread()
    if sys.argv[1] == "--make":
        make(Path(sys.argv[2]), *sys.argv[3:5])
        return
    problem, out, engine = Problem(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
    data = federated(problem.x, problem.y, 10)
    module = build(problem.model, data.shape, 10, SEED).to(problem.x.dtype)
    FedAvg = method_class("fedavg")
    run = Federation(
        FedAvg(Task(module, 10, SGD(problem.lr)), 1, FedAvg.Settings()),
        data,
        seed=SEED,
        rounds=problem.rounds,
        batch_size=problem.batch_size,
        engine=engine,
        evaluate_every=problem.rounds,  # the first and the last round, neither of which is timed
    )
    clock = Clock()
    run.run(lambda round_, entry: clock.lap())
    report(out, clock, run.server["model"], {})


if __name__ == "__main__":
    main()
