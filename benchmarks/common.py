"""What every contestant shares: the problem on disk, the plain model, the clock, the result.

Needs torch and numpy only, since each competitor has an environment of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class MLP(nn.Module):
    """784-64-10 with ReLU, as anybody would write it; tensor names as in our model."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(784, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(F.relu(self.hidden(x.flatten(1))))


class Problem:
    """Data ``x`` [clients, n, 1, 28, 28] and ``y`` [clients, n], initial weights, and the order
    ``order[round, client]`` in which a client sees its rows: nobody shuffles for himself, so all
    contestants compute the same numbers and none pays for drawing a permutation. Floats are of
    single precision where time is measured, of double where results are compared."""

    def __init__(self, path: Path):
        with np.load(path) as file:
            self.x, self.y = torch.from_numpy(file["x"]), torch.from_numpy(file["y"])
            self.order = torch.from_numpy(file["order"])
            self.initial = {
                key.removeprefix("initial/"): torch.from_numpy(file[key])
                for key in file.files
                if key.startswith("initial/")
            }
            notes = json.loads(str(file["notes"]))
        self.rounds, self.clients = self.order.shape[:2]
        self.batch_size, self.lr, self.model = notes["batch_size"], notes["lr"], notes["model"]


class Clock:
    """Seconds per round, on the wall and of this process's CPU time, from calls at each end."""

    def __init__(self):
        self.ends = [self._now()]

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def lap(self) -> None:
        self.ends.append(self._now())

    def seconds(self, which: int = 0) -> list[float]:
        """Without the first round, which warms up, and the last, after which a run tidies up."""
        ends = [end[which] for end in self.ends]
        return [end - start for start, end in itertools.pairwise(ends)][1:-1]


def single_thread() -> None:
    torch.set_num_threads(1)


def report(
    out: Path, clock: Clock, weights: dict, versions: dict, one_process: bool = True
) -> None:
    """Writes the rounds' times and the final global weights."""
    np.savez(
        out.with_suffix(".npz"), **{name: np.asarray(value) for name, value in weights.items()}
    )
    seconds = clock.seconds()
    entry = {"seconds": seconds, "median": statistics.median(seconds)}
    if one_process:
        entry["cpu"] = statistics.median(clock.seconds(1))
    entry["versions"] = {"torch": torch.__version__, "numpy": np.__version__} | versions
    entry["load"] = os.getloadavg()[0]
    out.write_text(json.dumps(entry))
