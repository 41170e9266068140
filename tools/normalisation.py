"""What batch-norm statistics change on EmojiDomains: the table of docs/normalisation.md.

Plays some methods with recalibrated and with running statistics, everything else being equal, and
looks at the server's model of every round under statistics that other agreements would give it. Needs
the synthetic images and warm starts of the embedded scale:

    snakemake --cores all $(python tools/normalisation.py --needs)
    python tools/normalisation.py
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fedgenbench.data.dataset import load as load_dataset
from fedgenbench.data.partition import Partition
from fedgenbench.federated.rounds import Federation
from fedgenbench.federated.run import data_of, federation
from fedgenbench.federated.synthetic import read, read_model, subset
from fedgenbench.federated.types import Slots, State
from fedgenbench.plan.grid import Grid
from fedgenbench.plan.jobs import Job
from fedgenbench.plan.settings import load

EXPERIMENT = "emoji_domains"
ROWS = ("centralised", "fedavg", "fedavg_warm", "fedavg_ft_warm", "warmfed_plain", "warmfed")
SERVERS = ("fedavg", "warmfed_plain")


def jobs_of(grid: Grid) -> list[Job]:
    return [
        job for job in grid.of_kind("federate") if job.experiment == EXPERIMENT and job.name in ROWS
    ]


def needed(grid: Grid) -> list[str]:
    """The files that the jobs are made from."""
    files: dict[str, None] = {}
    for job in jobs_of(grid):
        files |= dict.fromkeys([f"{job.data.folder}/card.json", job.partition.path])
        files |= dict.fromkeys(file for key in job.inputs for file in job.input_files(key))
    return list(files)


def watched(run: Federation) -> dict[str, list[float]]:
    """The accuracies of the server's model, a round each, that fill while ``run`` is played."""
    seen: dict[str, list[float]] = defaultdict(list)
    settled = run.engine.settled

    def watch(server: Slots, clients: list[int]) -> tuple[Slots, int]:
        for name, model in agreements(run, server["model"], clients).items():
            right = torch.cat(run.engine.global_right(model)).double()
            seen[name].append(float(right.mean()))
        return settled(server, clients)

    run.engine.settled = watch
    return seen


def agreements(run: Federation, model: State, clients: list[int]) -> dict[str, State]:
    """``model`` under the statistics that several agreements would give it."""
    task, data = run.method.task, run.data
    weights = (run.sizes[clients] / run.sizes[clients].sum()).float()
    sent = [{name: t[client] for name, t in run.clients["model"].items()} for client in clients]

    def over(rows: Tensor) -> State:
        return task.recalibrated(model, data.images, rows)

    def mean(values: list[Tensor]) -> Tensor:
        return torch.tensordot(weights, torch.stack(values), 1)

    def pooled(states: list[State]) -> State:
        """By the law of total variance."""
        new = dict(model)
        for layer in {name.rpartition(".")[0] for name in task.buffers}:
            at, spread = f"{layer}.running_mean", f"{layer}.running_var"
            new[at] = mean([state[at] for state in states])
            new[spread] = mean([s[spread] + (s[at] - new[at]).square() for s in states])
        return new

    found = {
        "means of the clients' statistics": model
        | {name: mean([state[name] for state in sent]) for name in task.buffers},
        "clients' moments, pooled": pooled(sent),
        "one message": pooled([over(data.train[client]) for client in clients]),
        "a message per layer": over(torch.cat([data.train[client] for client in clients])),
    }
    if data.synthetic is not None:
        found["the server's synthetic images"] = over(data.synthetic)
    return found


def play(job: Job, statistics: str) -> dict[str, list[float]]:
    """Mean accuracies by round, and those of the server's model under other agreements."""
    settings = dict(job.settings) | {"local": job.settings["local"] | {"statistics": statistics}}
    dataset, partition = load_dataset(Path(job.data.folder)), Partition.load(job.partition.path)
    images, warm = job.input_files("images"), job.input_files("warm")
    synthetic = read(images, dataset) if images else None
    if synthetic:
        synthetic = subset(synthetic, settings["subset"], settings["seed"])
    data = data_of(settings, dataset, partition, "cpu", synthetic)
    run = federation(settings, data, dataset.n_classes, warm=read_model(warm[0]) if warm else None)
    seen = watched(run) if statistics == "recalibrated" and job.name in SERVERS else {}
    history = run.run()
    scores = {
        key: [float(np.mean(entry[key])) for entry in history if key in entry]
        for key in ("global", "personal")
    }
    return {name: values for name, values in (scores | seen).items() if values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--needs", action="store_true", help="print the files that this builds on")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--seeds", nargs="+", type=int, default=None)
    arguments = parser.parse_args()
    grid = Grid(load("params.yaml")[1]["embedded"])
    if arguments.needs:
        print("\n".join(needed(grid)))
        return
    for job in jobs_of(grid):
        if job.name not in arguments.rows or (arguments.seeds and job.seed not in arguments.seeds):
            continue
        for statistics in ("running", "recalibrated"):
            for key, values in play(job, statistics).items():
                line = " ".join(f"{100 * value:.1f}" for value in values)
                print(f"{job.name}\t{job.seed}\t{statistics}\t{key}\t{line}", flush=True)


if __name__ == "__main__":
    main()
