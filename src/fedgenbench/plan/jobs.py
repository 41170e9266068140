"""What a grid consists of: prepared data, partitions and jobs, with the paths that they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fedgenbench.core.digest import code_digest, digest
from fedgenbench.data.sources import source_of
from fedgenbench.systems.base import JobKind


def job_code(script: str, *modules: str) -> list[str]:
    """Digest of the code of ``workflow_scripts/<script>.py`` with ``modules``, and what it is of.

    The list is a parameter of the rule: the job refuses to start if the code was edited since.
    """
    entries = (f"workflow_scripts/{script}.py", *modules)
    return [code_digest(*entries), *entries]


def source_digest(dataset: str) -> str:
    """Digest of what a data set is; where it is fetched from changes nothing, for files are pinned."""
    return digest({key: value for key, value in source_of(dataset).items() if key != "sources"})


@dataclass(frozen=True)
class Prepared:
    """A data set as arrays."""

    dataset: str
    options: dict[str, Any]
    code: list[str]
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
class Job:
    """One job of a kind.

    ``experiment`` is what its path begins with, ``name`` tells jobs of a kind apart: a method or a
    variant, an ablation, a fit. ``inputs`` are the jobs that it builds on, by the names of its kind's
    inputs. ``client`` is -1 where it is of no single client.
    """

    kind: JobKind
    experiment: str
    name: str
    seed: int
    data: Prepared
    partition: Partitioned | None
    settings: dict[str, Any]
    code: list[str]
    digest: str
    client: int = -1
    inputs: Mapping[str, tuple[Job, ...]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.experiment}/{self.row}/seed{self.seed}"

    @property
    def row(self) -> str:
        return self.kind.row(self.name)

    @property
    def folder(self) -> str:
        return f"results/runs/{self.key}-{self.digest}"

    @property
    def metrics(self) -> str:
        """The file that stands for the job."""
        return self.file("metrics")

    def file(self, output: str) -> str:
        return f"{self.folder}/{self.kind.files[output]}"

    def input_files(self, name: str) -> list[str]:
        """The files that the job takes as its input ``name``, in order."""
        return [job.file(self.kind.inputs[name]) for job in self.inputs.get(name, ())]

    def before(self) -> Iterator[Job]:
        """The jobs that it builds on, itself left out."""
        for jobs in self.inputs.values():
            yield from jobs
