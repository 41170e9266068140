"""Settings to the table of runs: the one place that knows the paths.

Every path ends in a digest of all that decides the content of the file: its slice of the settings,
the code that makes it, and the digest of what it is made from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fedgenbench.config import Settings
from fedgenbench.data.fetch import missing, source_of
from fedgenbench.federated.method import method_class, method_module
from fedgenbench.models.registry import MODELS
from fedgenbench.runtime.digest import code_digest, digest
from fedgenbench.runtime.files import sha256_file

# What every product of the whole grid is made from, beside the runs.
PRODUCTS = {
    "collect": (),
    "tables": ("collect",),
    "figures": ("collect",),
    "report": ("collect", "figures"),
}


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
    """One method, or variant of one, on one partition."""

    experiment: str
    method: str
    seed: int
    partition: Partitioned
    settings: dict[str, Any]
    code: list[str]
    digest: str

    @property
    def key(self) -> str:
        return f"{self.experiment}/{self.method}/seed{self.seed}"

    @property
    def folder(self) -> str:
        return f"results/runs/{self.key}-{self.digest}"


@dataclass(frozen=True)
class Study:
    """A job on pFedGPA's generator apart from the rounds; ``uploads`` is the one it builds on."""

    experiment: str
    seed: int
    partition: Partitioned
    settings: dict[str, Any]
    code: list[str]
    digest: str
    folder: str
    uploads: Study | None = None


class Grid:
    """All that one scale asks for; ``paper`` is what its report compares it with."""

    def __init__(self, settings: Settings, paper: Settings | None = None):
        self.paper = paper or settings
        # Experiments on optional data that are not there are left out, and tables say so.
        self.absent = {
            name: reason
            for name, experiment in settings.experiments.items()
            if (reason := missing(experiment.dataset))
        }
        present = {n: e for n, e in settings.experiments.items() if n not in self.absent}
        self.settings, self.asked = settings.model_copy(update={"experiments": present}), settings
        self._codes: dict[tuple[str, str], list[str]] = {}
        self.prepared = {name: self._prepared(name) for name in settings.datasets}
        self.partitions = {
            (name, seed): self._partitioned(name, seed)
            for name in present
            for seed in settings.seeds
        }
        self.uploads: dict[str, Study] = {}
        self.fits: dict[str, Study] = {}
        self.newcomers: dict[str, Study] = {}
        for name, seed in self.partitions:
            self._add_studies(name, seed)
        self.runs = [
            self._run(name, method, seed)
            for name, experiment in present.items()
            for method in (*experiment.methods, *experiment.ablations)
            for seed in settings.seeds
        ]

    def _prepared(self, dataset: str) -> Prepared:
        limit = self.settings.datasets[dataset].limit_per_class
        made_of = [source_digest(dataset), limit, job_code("prepare")[0]]
        return Prepared(dataset, limit, digest(made_of))

    def _partitioned(self, experiment: str, seed: int) -> Partitioned:
        chosen = self.settings.experiments[experiment]
        prepared = self.prepared[chosen.dataset]
        scheme = chosen.partition.model_dump()
        made_of = [prepared.digest, scheme, seed, job_code("partition")[0]]
        return Partitioned(experiment, prepared, scheme, seed, digest(made_of))

    def _run(self, name: str, row: str, seed: int) -> Run:
        experiment = self.settings.experiments[name]
        dataset = self.settings.datasets[experiment.dataset]
        partition = self.partitions[name, seed]
        method, method_settings = self.settings.played(name, row)
        settings = {
            "method": method,
            "method_settings": method_settings,
            "seed": seed,
            "mean": dataset.mean,
            "std": dataset.std,
            "augment": dataset.augment,
            "score_rounds": self.settings.score_rounds,
            "on_bad_upload": self.settings.on_bad_upload,
        } | experiment.model_dump(
            include={
                *("model", "rounds", "participation", "local", "engine", "evaluate_every"),
                "score_on",
            }
        )
        code = self._run_code(method, experiment.model)
        made_of = [settings, partition.digest, code[0], MODELS[experiment.model]]
        return Run(name, row, seed, partition, settings, code, digest(made_of))

    def _add_studies(self, name: str, seed: int) -> None:
        """Puts an experiment's studies of pFedGPA into ``uploads``, ``fits`` and ``newcomers``."""
        experiment = self.settings.experiments[name]
        place = f"{name}/seed{seed}"
        if experiment.oneshot:
            run = self._run(name, "pfedgpa", seed)
            uploads = self._study(run, run.settings, f"results/weights/{place}", "weights_uploads")
            self.uploads[uploads.folder] = uploads
            for fit in experiment.oneshot.fits:
                settings = experiment.oneshot.of_fit(fit, run.settings)
                folder = f"results/weights/{place}/{fit}"
                scripts = "weights_fit", "weights_aggregate"
                made = self._study(run, settings, folder, *scripts, uploads=uploads)
                self.fits[made.folder] = made
        if experiment.newcomers:
            run = self._run(name, "pfedgpa", seed)
            settings = run.settings | {"newcomers": experiment.newcomers.model_dump()}
            joined = self._study(run, settings, f"results/newcomers/{place}", "newcomers")
            self.newcomers[joined.folder] = joined

    def _study(
        self,
        run: Run,
        settings: dict[str, Any],
        folder: str,
        *scripts: str,
        uploads: Study | None = None,
    ) -> Study:
        model = MODELS[self.settings.experiments[run.experiment].model]
        methods = map(method_module, ("pfedgpa", "fedavg"))
        others = [f"workflow_scripts/{script}.py" for script in scripts[1:]]
        code = job_code(scripts[0], *others, *methods, model[0])
        made_of = [settings, run.partition.digest, code[0], model, uploads and uploads.digest]
        own = digest(made_of)
        return Study(
            *(run.experiment, run.seed, run.partition, settings, code, own),
            folder=f"{folder}-{own}",
            uploads=uploads,
        )

    def _run_code(self, method: str, model: str) -> list[str]:
        if (method, model) not in self._codes:
            code = job_code("federate", method_module(method), MODELS[model][0])
            self._codes[method, model] = code
        return self._codes[method, model]

    @property
    def used_data(self) -> dict[str, Prepared]:
        """The prepared data sets that some experiment uses."""
        used = {experiment.dataset for experiment in self.settings.experiments.values()}
        return {name: part for name, part in self.prepared.items() if name in used}

    def product_digest(self, product: str) -> str:
        """Digest of a product of the whole grid, one of ``PRODUCTS``."""
        shown = self.settings.model_dump(exclude={"forecast", "device", "foundation"})
        # The notes too: this module is in no digest, and what it says of a run stands in every table.
        notes = [self.experiment_notes(), self.method_notes()]
        made_of = [shown, notes, self.listing(), self.study_listing(), job_code(product)[0]]
        made_of += [self.product_digest(name) for name in PRODUCTS[product]]
        # What the papers' files say is judged or printed in the report.
        papers = {str(path): sha256_file(path) for path in sorted(Path("papers").glob("*/*.yaml"))}
        made_of.append(self.absent_notes())
        return digest([*made_of, papers, *self.cuts] if product == "report" else made_of)

    @cached_property
    def cuts(self) -> list[dict[str, str]]:
        """What this scale changes against the paper scale, setting by setting."""
        return cuts(self.settings, self.paper)

    # What reports show --------------------------------------------------------------------------
    def listing(self) -> list[list[Any]]:
        """Experiment, method, seed, digest and folder of every run."""
        return [[r.experiment, r.method, r.seed, r.digest, r.folder] for r in self.runs]

    def study_listing(self) -> list[list[Any]]:
        """File, digest, experiment, seed and name of every study's result."""
        fits = [
            [f"{s.folder}/{n}.json", s, s.folder.rsplit("/", 1)[1].rsplit("-", 1)[0]]
            for s in self.fits.values()
            for n in ("fit", "aggregate")
        ]
        new = [[f"{s.folder}/newcomers.json", s, "newcomers"] for s in self.newcomers.values()]
        return [[path, s.digest, s.experiment, s.seed, name] for path, s, name in fits + new]

    def experiment_notes(self) -> dict[str, dict[str, Any]]:
        """Per experiment its data set, its partition scheme, and what tables say of it."""
        notes = {}
        for name, experiment in self.settings.experiments.items():
            local, scheme = experiment.local, experiment.partition.model_dump()
            limit = self.settings.datasets[experiment.dataset].limit_per_class
            clients, _, _ = experiment.partition.size_hint(experiment.dataset, limit)
            notes[name] = {
                "dataset": experiment.dataset,
                "scheme": scheme,
                "report_global": experiment.report_global,
                "shown": {
                    "title": experiment.title,
                    "role": "main" if experiment.score_on == "test" else "tuning",
                    "dataset": self.settings.datasets[experiment.dataset].title,
                    "clients": clients,
                    "partition": _in_words(scheme),
                    "rounds": experiment.rounds,
                    "local": f"{local.epochs} epoch(s), batch {local.batch_size}, SGD lr {local.lr:g}, "
                    f"momentum {local.momentum:g}, weight decay {local.weight_decay:g}",
                    "model": experiment.model,
                    "note": experiment.note,
                },
            }
        return notes

    def absent_notes(self) -> dict[str, dict[str, Any]]:
        """Title, dataset, clients and reason of the paper scale's experiments that do not run here."""
        notes = {}
        for name, experiment in (self.paper.experiments | self.asked.experiments).items():
            if name in self.settings.experiments:
                continue
            title = self.asked.datasets[experiment.dataset].title
            clients, _, _ = experiment.partition.size_hint(experiment.dataset, None)
            reason = "no data" if missing(experiment.dataset) else "not run at this scale"
            notes[name] = {
                "title": experiment.title,
                "dataset": title,
                "clients": clients,
                "reason": reason,
            }
        return notes

    @property
    def newcomer_main(self) -> list[float] | None:
        """The guided steps s and the strength ω that count as main: the first of each list."""
        for experiment in self.settings.experiments.values():
            if chosen := experiment.newcomers:
                return [chosen.steps[0], chosen.omegas[0]]
        return None

    def method_notes(self) -> dict[str, dict[str, str]]:
        """Label, family and source of every method that runs, in the order of ``methods``."""
        used = {run.method for run in self.runs}
        classes = {name: method_class(name) for name in self.settings.methods if name in used}
        notes = {
            name: {"label": cls.label, "family": cls.family, "source": cls.source}
            for name, cls in classes.items()
        }
        for name, variant in self.settings.variants.items():
            if name in used:
                source = method_class(variant.method).source
                notes[name] = {"label": variant.title, "family": "variant", "source": source}
        return notes

    # Forecast ---------------------------------------------------------------------------------
    def seconds(self, run: Run) -> float:
        """Forecast of a run on one CPU core; evaluation counts as a third of a training pass."""
        costs, experiment = self.settings.forecast, self.settings.experiments[run.experiment]
        limit = self.settings.datasets[experiment.dataset].limit_per_class
        clients, train, test = experiment.partition.size_hint(experiment.dataset, limit)
        train *= experiment.participation
        passes = (
            costs.passes.get(run.settings["method"], 1.0)
            * experiment.local.epochs
            * experiment.rounds
        )
        evaluations = 3 * (1 + experiment.rounds // experiment.evaluate_every)
        samples = clients * (train * passes + test * evaluations / 3)
        per_1000 = costs.seconds_per_1000_samples[experiment.model]
        return costs.start_seconds + samples / 1000 * per_1000

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


def _in_words(scheme: dict[str, Any]) -> str:
    """A partition scheme for a reader."""
    match scheme["scheme"]:
        case "fedpac":
            uniform = round(100 * scheme["uniform_share"])
            return (
                f"FedPAC: {uniform} % uniform, {100 - uniform} % dominant classes, "
                f"{scheme['train_per_client']} + {scheme['test_per_client']} images a client"
            )
        case "domain":
            return "one client per domain"
        case "domain_shards":
            return f"{scheme['clients_per_domain']} random shards per domain"
        case "dirichlet":
            return f"class shares drawn from Dirichlet({scheme['alpha']:g})"
        case "class_blocks":
            return f"{scheme['classes_per_client']} consecutive classes per client"
    raise ValueError(scheme["scheme"])


def cuts(settings: Settings, paper: Settings) -> list[dict[str, str]]:
    """What this scale changes against the paper scale, setting by setting."""
    rows = []
    for name, experiment in settings.experiments.items():
        if name not in paper.experiments or experiment.score_on == "valid":
            continue
        here, there = _flat(experiment.model_dump()), _flat(paper.experiments[name].model_dump())
        rows += [
            {
                "setting": f"{name}: {key}",
                "here": str(here.get(key, "none")),
                "paper": str(there.get(key, "none")),
                "reason": experiment.note,
            }
            for key in sorted(here.keys() | there.keys())
            if here.get(key) != there.get(key)
            and key not in ("note", "engine", "evaluate_every", "ablations")
            # What is overridden shows below, with the rest of a method's settings.
            and not key.startswith("overrides.")
        ]
        # A method's settings are asked where it is played: overrides count.
        for method in experiment.methods:
            if method not in paper.experiments[name].methods:
                continue
            here, there = (_flat(s.played(name, method)[1]) for s in (settings, paper))
            rows += [
                {
                    "setting": f"{name}: {method}.{key}",
                    "here": str(here[key]),
                    "paper": str(there[key]),
                    "reason": settings.note,
                }
                for key in sorted(here)
                if here[key] != there[key]
            ]
    return rows


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in tree.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat
