"""Plays a run of a method unbroken, then killed at random moments; prints both results' checksums."""

import contextlib
import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.files import write_json
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import FedPacSettings, make_partition
from fedgenbench.federated.rounds import Federation
from fedgenbench.federated.run import federate

ROUNDS, KILLS, MOST_ROUNDS = 60, 10, 5  # even if every attempt plays five rounds, some are left
torch.set_num_threads(1)
Federation.__init__.__kwdefaults__["checkpoint_seconds"] = 0.0

draws = np.random.Generator(np.random.PCG64(0))
labels = np.repeat(np.arange(3), 20)
DATASET = Dataset(
    card={"name": "toy", "title": "Toy", "classes": ["a", "b", "c"], "sha256": "0"},
    train_images=draws.integers(0, 256, (60, 8, 8, 1), np.uint8),
    train_labels=labels,
    test_images=draws.integers(0, 256, (60, 8, 8, 1), np.uint8),
    test_labels=labels,
)
SCHEME = FedPacSettings(
    scheme="fedpac", clients=4, groups=[[0, 1], [1, 2]], train_per_client=12, test_per_client=10
)


def play(method, method_settings, folder, progress):
    settings = {
        "method": method,
        "method_settings": method_settings,
        "seed": 3,
        "mean": [0.5],
        "std": [0.25],
        "augment": True,
        "score_rounds": 1,
        "on_bad_upload": "stop",
        "upload_rms": 1e4,
        "score_on": "test",
        "model": "mlp",
        "rounds": ROUNDS,
        "participation": 0.5,
        "local": {"epochs": 1, "batch_size": 5, "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0},
        "engine": "sequential",
        "evaluate_every": 3,
    }
    metrics = federate(
        settings,
        DATASET,
        make_partition(DATASET, SCHEME, 3),
        "cpu",
        checkpoint=Checkpoint(folder / "checkpoint", "0123456789"),
        progress=progress,
    )
    write_json(folder / "metrics.json", metrics)


def attempt(arguments, after_rounds, delay):
    """A forked process plays on and is killed ``delay`` seconds after so many rounds, if at all."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            play(*arguments, lambda done, note: os.write(writer, bytes([done])))
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    os.close(writer)
    played = []
    while step := os.read(reader, 1):
        played += step
        if after_rounds and len(played) == after_rounds:
            time.sleep(delay)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    os.close(reader)
    return played, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(folder, method, settings):
    whole, broken = folder / "whole", folder / "broken"
    start = time.monotonic()
    played, status = attempt((method, settings, whole), None, 0)
    assert (played, status) == (list(range(1, ROUNDS + 1)), 0)
    per_round = (time.monotonic() - start) / ROUNDS
    chance = random.Random(f"{method} {os.getpid()}")
    killed, firsts = 0, []
    while killed < KILLS:
        delay = chance.uniform(0, per_round)
        played, status = attempt(
            (method, settings, broken), chance.randint(1, MOST_ROUNDS - 1), delay
        )
        assert status == -signal.SIGKILL, status
        firsts.append(played[0])
        killed += 1
    played, status = attempt((method, settings, broken), None, 0)
    assert status == 0
    firsts.append(played[0])
    sums = [
        hashlib.sha256((part / "metrics.json").read_bytes()).hexdigest() for part in (whole, broken)
    ]
    print(json.dumps({"killed": killed, "first_rounds": firsts, "sums": sums}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
