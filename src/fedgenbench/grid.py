"""Settings to the table of runs: the one place that knows the paths.

Every path ends in a digest of all that decides the content of the file: its slice of the settings,
the code that makes it, and the digest of what it is made from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedgenbench.config import Settings
from fedgenbench.data.fetch import source_of
from fedgenbench.federated.method import method_module
from fedgenbench.models.registry import MODELS
from fedgenbench.runtime.digest import code_digest, digest

SCRIPTS = Path("workflow_scripts")


@dataclass(frozen=True)
class Prepared:
    """A data set as arrays."""

    dataset: str
    limit_per_class: int | None
    digest: str

    @property
    def folder(self) -> str:
        return f"data/prepared/{self.dataset}-{self.digest}"


@dataclass(frozen=True)
class Partitioned:
    """Who holds which images in one repetition."""

    experiment: str
    prepared: Prepared
    scheme: dict[str, Any]
    seed: int
    digest: str

    @property
    def path(self) -> str:
        return f"data/partitions/{self.experiment}/seed{self.seed}-{self.digest}.json"


@dataclass(frozen=True)
class Run:
    """One method on one partition."""

    experiment: str
    method: str
    seed: int
    partition: Partitioned
    settings: dict[str, Any]
    digest: str

    @property
    def key(self) -> str:
        return f"{self.experiment}/{self.method}/seed{self.seed}"

    @property
    def folder(self) -> str:
        return f"results/runs/{self.key}-{self.digest}"


class Grid:
    """All that one scale asks for."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.prepared = {name: self._prepared(name) for name in settings.datasets}
        self.partitions = {
            (name, seed): self._partitioned(name, seed)
            for name in settings.experiments
            for seed in settings.seeds
        }
        self.runs = [
            self._run(name, method, seed)
            for name, experiment in settings.experiments.items()
            for method in experiment.methods
            for seed in settings.seeds
        ]

    def _prepared(self, dataset: str) -> Prepared:
        limit = self.settings.datasets[dataset].limit_per_class
        made_of = [source_of(dataset), limit, code_digest(SCRIPTS / "prepare.py")]
        return Prepared(dataset, limit, digest(made_of))

    def _partitioned(self, experiment: str, seed: int) -> Partitioned:
        chosen = self.settings.experiments[experiment]
        prepared = self.prepared[chosen.dataset]
        scheme = chosen.partition.model_dump()
        made_of = [prepared.digest, scheme, seed, code_digest(SCRIPTS / "partition.py")]
        return Partitioned(experiment, prepared, scheme, seed, digest(made_of))

    def _run(self, name: str, method: str, seed: int) -> Run:
        experiment = self.settings.experiments[name]
        dataset = self.settings.datasets[experiment.dataset]
        partition = self.partitions[name, seed]
        settings = {
            "method": method,
            "method_settings": self.settings.methods[method],
            "seed": seed,
            "mean": dataset.mean,
            "std": dataset.std,
            "augment": dataset.augment,
            "score_rounds": self.settings.score_rounds,
            "on_bad_upload": self.settings.on_bad_upload,
        } | experiment.model_dump(
            include={"model", "rounds", "participation", "local", "engine", "evaluate_every"}
        )
        code = code_digest(
            SCRIPTS / "federate.py", method_module(method), MODELS[experiment.model][0]
        )
        return Run(name, method, seed, partition, settings, digest([settings, partition.digest, code]))

    def product_digest(self, script: str) -> str:
        """Digest of a product of the whole grid that ``workflow_scripts/script`` makes."""
        shown = self.settings.model_dump(exclude={"forecast", "checkpoint_seconds", "device"})
        return digest([shown, [run.digest for run in self.runs], code_digest(SCRIPTS / script)])

    # Forecast ---------------------------------------------------------------------------------
    def seconds(self, run: Run) -> float:
        """Forecast of a run on one CPU core; evaluation counts as a third of a training pass."""
        costs, experiment = self.settings.forecast, self.settings.experiments[run.experiment]
        clients, train, test = self._samples(run.experiment)
        clients *= experiment.participation
        passes = costs.passes.get(run.method, 1.0) * experiment.local.epochs * experiment.rounds
        evaluations = 3 * (1 + experiment.rounds // experiment.evaluate_every)
        samples = clients * (train * passes + test * evaluations / 3)
        per_1000 = costs.seconds_per_1000_samples[experiment.model]
        return costs.start_seconds + samples / 1000 * per_1000

    def _samples(self, experiment: str) -> tuple[int, int, int]:
        """Clients, training and test images of a client (an upper bound where they differ)."""
        scheme = self.settings.experiments[experiment].partition
        return scheme.size_hint()

    def forecast(self) -> str:
        """The grid and what it will cost, as lines of text."""
        lines = [f"{'experiment':<22}{'methods':>8}{'seeds':>7}{'runs':>6}{'core minutes':>14}"]
        total = 0.0
        for name, experiment in self.settings.experiments.items():
            runs = [run for run in self.runs if run.experiment == name]
            minutes = sum(self.seconds(run) for run in runs) / 60
            total += minutes
            methods, seeds = len(experiment.methods), len(self.settings.seeds)
            lines.append(f"{name:<22}{methods:>8}{seeds:>7}{len(runs):>6}{minutes:>14.1f}")
        lines.append(f"{'all':<22}{'':>15}{len(self.runs):>6}{total:>14.1f}")
        return "\n".join(lines)
