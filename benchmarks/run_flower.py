"""Flower's simulation on Ray, one CPU per client. Usage: run_flower.py PROBLEM OUT CPUS

CPUS is the number of Ray's workers.
"""

import os
import sys
from importlib.metadata import version
from pathlib import Path

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["BENCHMARK_PROBLEM"] = str(Path(sys.argv[1]).resolve())

from common import Clock, Problem, report, single_thread
from flower_client import app
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation


class TimedFedAvg(FedAvg):
    def __init__(self, clock: Clock, **options):
        super().__init__(**options)
        self.clock = clock

    def aggregate_train(self, server_round, replies):
        arrays, metrics = super().aggregate_train(server_round, replies)
        self.clock.lap()
        return arrays, metrics


def main() -> None:
    single_thread()
    problem, out, cpus = Problem(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])
    server, clock, result = ServerApp(), Clock(), {}

    @server.main()
    def serve(grid: Grid, context: Context) -> None:
        strategy = TimedFedAvg(
            clock,
            fraction_evaluate=0.0,
            min_train_nodes=problem.clients,
            min_available_nodes=problem.clients,
        )
        initial = ArrayRecord(problem.initial)
        result["arrays"] = strategy.start(grid, initial, num_rounds=problem.rounds).arrays

    run_simulation(
        server_app=server,
        client_app=app,
        num_supernodes=problem.clients,
        backend_config={
            "init_args": {"num_cpus": cpus, "logging_level": "ERROR", "log_to_driver": False},
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
        },
    )
    versions = {"flwr": version("flwr"), "ray": version("ray")}
    report(out, clock, result["arrays"].to_torch_state_dict(), versions, one_process=False)


if __name__ == "__main__":
    main()
