"""What a job gets, and the frame in which every job of a system runs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.files import read_json
from fedgenbench.core.gpu import lease
from fedgenbench.core.job import job
from fedgenbench.core.progress import Progress
from fedgenbench.core.provenance import Stopwatch
from fedgenbench.core.reports import save_report
from fedgenbench.data.dataset import Dataset, load
from fedgenbench.data.partition import Partition


@dataclass(frozen=True)
class Context:
    """All that a job gets.

    ``settings`` is what decides it beside data, partition and inputs; ``name`` tells jobs of a kind
    apart. ``inputs`` are files of the jobs that it builds on, by name, in their order; ``outputs`` are
    the files that it has to write, by name. ``checkpoint`` stays until the job is done: a
    killed job goes on from what it left there.
    """

    experiment: str
    name: str
    seed: int
    digest: str
    device: str
    settings: dict[str, Any]
    data: Path
    partition_file: Path | None
    inputs: Mapping[str, list[Path]]
    outputs: Mapping[str, Path]
    checkpoint: Checkpoint

    @cached_property
    def dataset(self) -> Dataset:
        return load(self.data)

    @cached_property
    def classes(self) -> list[str]:
        """The data set's classes, of which no image is loaded."""
        return read_json(self.data / "card.json")["classes"]

    @cached_property
    def partition(self) -> Partition:
        """Who holds which images of ``dataset``, checked against it."""
        assert self.partition_file is not None  # only a kind of job that asks for one has one
        partition = Partition.load(self.partition_file)
        partition.require(self.dataset)
        return partition

    @property
    def label(self) -> str:
        return f"{self.experiment}, {self.name}, seed {self.seed}"

    def progress(self, total: int) -> Progress:
        """Takes (steps done, a note) now and then, and tells a reader of the log."""
        return Progress(self.label, total)


def execute(context: Context, run: str, watch: Stopwatch) -> str:
    """Runs a job and writes its metrics and its record; returns a last line for the terminal.

    The function that ``run`` names, as ``package.module:function``, takes the context and returns what
    the metrics say, beside digest and settings, and that line. ``watch`` was started with the job.
    """
    import torch

    torch.set_num_threads(1)
    content, line = resolve_name(run)(context)
    save_report(
        context.outputs["metrics"],
        {"digest": context.digest, "settings": context.settings} | content,
        watch.record(context.device),
    )
    shutil.rmtree(context.checkpoint.folder, ignore_errors=True)
    watch.forget()
    return f"{context.label}: {line}"


def execute_rule(snakemake: Any) -> None:
    """The job that a rule of rules/jobs.smk describes."""
    with job(snakemake), lease(snakemake.config["device"]) as device:
        watch = Stopwatch(snakemake.params.checkpoint)
        inputs = {
            name: [Path(file) for file in ([files] if isinstance(files, str) else files)]
            for name, files in snakemake.input.items()
        }
        partition = inputs.pop("partition")
        context = Context(
            experiment=snakemake.wildcards.experiment,
            name=snakemake.params.name,
            seed=int(snakemake.wildcards.seed),
            digest=snakemake.wildcards.digest,
            device=device,
            settings=snakemake.params.settings,
            data=inputs.pop("data")[0].parent,
            partition_file=partition[0] if partition else None,
            inputs=inputs,
            outputs={name: Path(file) for name, file in snakemake.output.items()},
            checkpoint=Checkpoint(snakemake.params.checkpoint, snakemake.wildcards.digest),
        )
        print(execute(context, snakemake.params.run, watch), flush=True)
