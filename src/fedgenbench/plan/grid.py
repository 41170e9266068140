"""Settings to the table of jobs.

Every path ends in a digest of all that decides the content of the file: its slice of the settings,
the code that makes it, and the digests of what it is made from.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from fedgenbench.core.digest import digest
from fedgenbench.core.files import sha256_file
from fedgenbench.data.readers import reader_modules
from fedgenbench.data.sources import missing, source_of
from fedgenbench.images.folder import fingerprint, require_place
from fedgenbench.plan import notes
from fedgenbench.plan.differences import differences_from_paper
from fedgenbench.plan.jobs import Job, Partitioned, Prepared, job_code, source_digest
from fedgenbench.plan.settings import Settings
from fedgenbench.systems.base import JobKind, files, modules, systems

# What every product of the whole grid is made from, beside the runs.
PRODUCTS = {
    "collect": (),
    "tables": ("collect",),
    "figures": ("collect",),
    "report": ("collect", "figures"),
}
# The systems' modules of a product, where they are not called as it is.
PARTS = {
    "collect": ("measurements",),
    "report": ("section", "measures"),
    "annotated": ("tables",),
}


class Grid:
    """All that one scale asks for; ``paper`` is what its report compares it with. With ``whole``,
    experiments whose data set is not here are planned all the same: to say what they would cost."""

    def __init__(self, settings: Settings, paper: Settings | None = None, *, whole: bool = False):
        self.paper = paper or settings
        # Experiments on optional data that are not there are left out, and tables say so.
        self.absent = {
            name: reason
            for name, experiment in settings.experiments.items()
            if not whole and (reason := missing(experiment.dataset))
        }
        present = {n: e for n, e in settings.experiments.items() if n not in self.absent}
        self.settings, self.asked = settings.model_copy(update={"experiments": present}), settings
        self._codes: dict[tuple[str, ...], list[str]] = {}
        self._models: dict[str, str] = {}
        self.prepared = {name: self._prepared(name) for name in settings.datasets}
        self.partitions = {
            (name, seed): self._partitioned(name, seed)
            for name in present
            for seed in settings.seeds
        }
        # One experiment more per domain that is left out: name -> (experiment, client, domain).
        self.left_out = {
            f"{name}-without-{domain}": (name, client, domain)
            for name, experiment in present.items()
            if experiment.leave_one_out
            for client, domain in enumerate(source_of(experiment.dataset)["facts"]["domains"])
        }
        self.jobs: dict[str, Job] = {}  # by folder
        for system in systems().values():
            if system.plan is not None:
                for name, seed in self.partitions:
                    system.plan(self, name, seed)

    def _prepared(self, dataset: str) -> Prepared:
        chosen = self.settings.datasets[dataset]
        options = chosen.model_dump(include={"limit_per_class", "on_bad_image", "on_twins"})
        code = self._code("prepare", *reader_modules(dataset))
        made_of = [source_digest(dataset), options, code[0]]
        return Prepared(dataset, options, code, digest(made_of))

    def _partitioned(self, experiment: str, seed: int) -> Partitioned:
        chosen = self.settings.experiments[experiment]
        prepared = self.prepared[chosen.dataset]
        scheme = chosen.partition.model_dump()
        made_of = [prepared.digest, scheme, seed, self._code("partition")[0]]
        return Partitioned(experiment, prepared, scheme, seed, digest(made_of))

    # For systems --------------------------------------------------------------------------------
    def add(
        self,
        kind: JobKind,
        experiment: str,
        seed: int,
        *,
        settings: dict[str, Any],
        name: str,
        modules: tuple[str, ...] = (),
        made_of: list[Any] | None = None,
        client: int = -1,
        inputs: dict[str, tuple[Job, ...]] | None = None,
        shown: str | None = None,
    ) -> Job:
        """The job of this kind and name, known to the grid from now on.

        ``modules`` and ``made_of`` decide it beside settings, data, partition, inputs and the code of
        its kind: what it imports by name, and what files hold. ``shown`` is the experiment that it
        belongs to in tables and paths, where that is another one.
        """
        partition = self.partitions[experiment, seed] if kind.partition else None
        data = self.partitions[experiment, seed].prepared
        code = self._code("job", kind.module, *modules)
        inputs = inputs or {}
        before = [[key, [job.digest for job in jobs]] for key, jobs in sorted(inputs.items())]
        parts = [kind.name, settings, code[0], data.digest, partition and partition.digest]
        job = Job(
            kind=kind,
            experiment=shown or experiment,
            name=name,
            seed=seed,
            data=data,
            partition=partition,
            settings=settings,
            code=code,
            digest=digest([*parts, before, made_of or []]),
            client=client,
            inputs=inputs,
        )
        return self.jobs.setdefault(job.folder, job)

    def run_settings(self, name: str, row: str, seed: int) -> tuple[str, dict[str, Any]]:
        """The method behind a row of an experiment, and the settings of its run."""
        experiment = self.settings.experiments[name]
        dataset = self.settings.datasets[experiment.dataset]
        method, method_settings = self.settings.played(name, row)
        aggregation = self.settings.aggregation_of(experiment, row)
        # What nobody has set is in no digest.
        chosen = {"aggregation": aggregation, "poisoned": experiment.poisoned}
        return method, {
            "method": method,
            "method_settings": method_settings,
            "seed": seed,
            "mean": dataset.mean,
            "std": dataset.std,
            "augment": dataset.augment,
            "local": self.settings.local_of(experiment, row).model_dump(exclude_none=True),
            "score_rounds": self.settings.score_rounds_of(experiment),
            "on_bad_upload": self.settings.on_bad_upload,
            "upload_rms": self.settings.upload_rms,
        } | experiment.model_dump(
            include={
                *("model", "rounds", "participation", "engine", "evaluate_every"),
                "score_on",
            }
        ) | {key: value.model_dump() for key, value in chosen.items() if value}

    def fingerprint(self, source: str) -> str:
        """``folder.fingerprint``, worked out once."""
        if source not in self._models:
            self._models[source] = fingerprint(source)
        return self._models[source]

    def require_models(self) -> None:
        """Refuses the name of a diffusion model's folder that is not here; hub ids pass."""
        for source in self._models:
            require_place(source)

    def _code(self, script: str, *entries: str) -> list[str]:
        """``job_code``, worked out once: the code is the same for all of a grid's jobs."""
        if (script, *entries) not in self._codes:
            self._codes[script, *entries] = job_code(script, *entries)
        return self._codes[script, *entries]

    # For rules and reports ----------------------------------------------------------------------
    def of_kind(self, *kinds: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.kind.name in kinds]

    def of_system(self, name: str) -> list[Job]:
        """The jobs of a system's kinds."""
        return self.of_kind(*(kind.name for kind in systems()[name].kinds))

    @property
    def used_data(self) -> dict[str, Prepared]:
        """The prepared data sets that some experiment uses."""
        used = {experiment.dataset for experiment in self.settings.experiments.values()}
        return {name: part for name, part in self.prepared.items() if name in used}

    @property
    def cards(self) -> dict[str, str]:
        """The cards of these data sets, by path."""
        return {name: f"{part.folder}/card.json" for name, part in self.used_data.items()}

    def listing(self) -> list[list[Any]]:
        """Kind, experiment, name, seed, client, digest and folder of every job."""
        return [
            [j.kind.name, j.experiment, j.name, j.seed, j.client, j.digest, j.folder]
            for j in self.jobs.values()
        ]

    def pictures(self) -> list[list[Any]]:
        """Experiment, seed, name and path of all that reports show as a picture: the name is that of
        the output, or of the job where each has one."""
        return [
            [job.experiment, job.seed, job.name if len(outputs) == 1 else name, job.file(name)]
            for job in self.jobs.values()
            if (outputs := job.kind.pictures)
            for name in outputs
        ]

    def product_digest(self, product: str) -> str:
        """Digest of a product of the whole grid, one of ``PRODUCTS``."""
        shown = self.settings.model_dump(
            exclude={"forecast", "device", "foundation", "unclip", "only"}
        )
        # The notes too: this module is in no digest, and what it says of a run stands in every table.
        said = [self.experiment_notes, self.method_notes, self.absent_notes]
        made_of = [shown, said, self.listing(), self.product_code(product)[0]]
        made_of += [self.product_digest(name) for name in PRODUCTS[product]]
        if product != "collect":
            record = sorted(Path("models/foundation").glob("*.json"))
            made_of.append({str(path): sha256_file(path) for path in record})
        if product == "report":
            # What papers print is part of the tables' code; what they claim is judged here alone.
            claims = {name: sha256_file(path) for name, path in files("claims.yaml").items()}
            made_of += [claims, *self.differences]
        return digest(made_of)

    def product_code(self, product: str) -> list[str]:
        """``job_code`` of a product, with the systems' modules that it is made by."""
        parts = PARTS.get(product, (product,))
        return self._code(product, *(name for part in parts for name in modules(part)))

    @cached_property
    def differences(self) -> list[dict[str, str]]:
        """What this scale changes against the paper scale, setting by setting."""
        return differences_from_paper(self.settings, self.paper)

    @cached_property
    def experiment_notes(self) -> dict[str, dict[str, Any]]:
        return notes.experiment_notes(self)

    @cached_property
    def method_notes(self) -> dict[str, dict[str, str | None]]:
        return notes.method_notes(self)

    @cached_property
    def absent_notes(self) -> dict[str, dict[str, Any]]:
        return notes.absent_notes(self)
