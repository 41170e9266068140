"""Settings to the table of runs: the one place that knows the paths.

Every path ends in a digest of all that decides the content of the file: its slice of the settings,
the code that makes it, and the digest of what it is made from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fedgenbench.core.digest import code_digest, digest
from fedgenbench.core.files import sha256_file
from fedgenbench.core.wording import counted
from fedgenbench.data.readers import reader_modules
from fedgenbench.data.sources import missing, source_of
from fedgenbench.federated.method import method_class, method_module
from fedgenbench.images.folder import require_place
from fedgenbench.models.registry import MODELS
from fedgenbench.plan.settings import Experiment, Settings
from fedgenbench.systems.fedlmg.baseline_settings import FedDISC
from fedgenbench.systems.fedlmg.settings import GuidedImagesSettings
from fedgenbench.systems.foundation.plan import fingerprint
from fedgenbench.systems.warmfed.settings import (
    AdapterSettings,
    ExaminationSettings,
    PromptSettings,
    SamplingSettings,
)

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
class Run:
    """One method, or variant of one, on one partition."""

    experiment: str
    method: str
    seed: int
    partition: Partitioned
    settings: dict[str, Any]
    code: list[str]
    digest: str
    warm: tuple[Study, ...] = ()
    images: tuple[Study, ...] = ()
    adapters: tuple[Study, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.experiment}/{self.method}/seed{self.seed}"

    @property
    def folder(self) -> str:
        return f"results/runs/{self.key}-{self.digest}"

    @property
    def data(self) -> Prepared:
        return self.partition.prepared


@dataclass(frozen=True)
class Study:
    """A job that is no run: what runs build on, or a look at something apart from the rounds.

    ``kind`` is one of uploads, fit, newcomers, adapter, images, prompts, warm, examined, classifiers,
    guided, rival, dense, server; ``after`` are the studies that it builds on. ``name`` tells studies
    of a kind apart, or is that of a fit.
    """

    kind: str
    experiment: str
    seed: int
    data: Prepared
    partition: Partitioned | None
    settings: dict[str, Any]
    code: list[str]
    digest: str
    folder: str
    name: str = ""
    client: int = -1
    after: tuple[Study, ...] = ()

    @property
    def report(self) -> str:
        """The file that stands for it."""
        return f"{self.folder}/{self.kind}.json"


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
        self._codes: dict[tuple[str, ...], list[str]] = {}
        self._models: dict[str, str] = {}
        self.prepared = {name: self._prepared(name) for name in settings.datasets}
        self.partitions = {
            (name, seed): self._partitioned(name, seed)
            for name in present
            for seed in settings.seeds
        }
        self.studies: dict[str, Study] = {}  # by folder
        self.runs = [
            self._run(name, method, seed)
            for name, experiment in present.items()
            for method in experiment.rows
            for seed in settings.seeds
        ]
        # One experiment more per domain that is left out.
        self.left_out = {
            f"{name}-without-{domain}": (name, number, domain)
            for name, experiment in present.items()
            if experiment.leave_one_out
            for number, domain in enumerate(source_of(experiment.dataset)["facts"]["domains"])
        }
        self.runs += [
            self._run(name, method, seed, without)
            for name, without, _ in self.left_out.values()
            for method in present[name].leave_one_out
            for seed in settings.seeds
        ]
        for name, seed in self.partitions:
            self._add_studies(name, seed)

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

    def _run(self, name: str, row: str, seed: int, without: int | None = None) -> Run:
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
            "score_rounds": self.settings.score_rounds_of(experiment),
            "on_bad_upload": self.settings.on_bad_upload,
        } | experiment.model_dump(
            include={
                *("model", "rounds", "participation", "local", "engine", "evaluate_every"),
                "score_on",
            }
        )
        shown, parts = name, {}
        if without is not None:
            domain = source_of(experiment.dataset)["facts"]["domains"][without]
            shown = f"{name}-without-{domain}"
            settings["without"] = without
        if kind := self.settings.images(row):
            images = self._images(name, seed, kind, without)
            parts["adapters"] = tuple(each for made in images for each in made.after)
            if self.settings.warm(row):
                parts["warm"] = (self._warm(name, seed, kind, without),)
            if method_class(method).images:
                settings["images"], settings["subset"] = kind, experiment.synthesis.subset
                parts["images"] = images
        made_from = (*parts.get("images", ()), *parts.get("warm", ()))
        code = self._code("federate", method_module(method), MODELS[experiment.model][0])
        made_of = [settings, partition.digest, code[0], MODELS[experiment.model]]
        made_of += [study.digest for study in made_from]
        return Run(shown, row, seed, partition, settings, code, digest(made_of), **parts)

    # Studies ----------------------------------------------------------------------------------
    def _study(self, made_of: list[Any], **fields: Any) -> Study:
        """The study with these fields, known to the grid from now on; its folder gets the digest.

        ``made_of`` is what decides it beside settings, code, data, partition and ``after``.
        """
        partition = fields["partition"]
        parts = [fields["settings"], fields["code"][0], fields["data"].digest]
        parts += [partition and partition.digest]
        own = digest([*parts, [study.digest for study in fields.get("after", ())], *made_of])
        study = Study(**fields | {"folder": f"{fields['folder']}-{own}"}, digest=own)
        return self.studies.setdefault(study.folder, study)

    def _place(self, name: str, seed: int) -> dict[str, Any]:
        partition = self.partitions[name, seed]
        return {
            "experiment": name,
            "seed": seed,
            "data": partition.prepared,
            "partition": partition,
        }

    def _add_studies(self, name: str, seed: int) -> None:
        """Adds the studies that no run builds on."""
        experiment = self.settings.experiments[name]
        if experiment.oneshot or experiment.newcomers:
            self._add_weight_studies(name, seed)
        if experiment.fedlmg:
            self._add_fedlmg_studies(name, seed)
        used = {self.settings.images(row) for row in experiment.rows}
        if used >= {"adapters", "prompts"}:
            images, prompts = (self._images(name, seed, k) for k in ("adapters", "prompts"))
            adapters = tuple(made.after[0] for made in images)
            self._study(
                [],
                kind="examined",
                **self._place(name, seed),
                settings=self._synthesis(name, seed, ExaminationSettings),
                code=self._code("examine"),
                folder=f"results/synthesis/{name}/seed{seed}/examined",
                after=(*adapters, *images, *prompts),
            )

    def _add_weight_studies(self, name: str, seed: int) -> None:
        experiment = self.settings.experiments[name]
        run, model = self._run(name, "pfedgpa", seed), MODELS[experiment.model]
        place, folder = self._place(name, seed), f"{name}/seed{seed}"

        def code(script: str, *others: str) -> list[str]:
            scripts = [f"workflow_scripts/{other}.py" for other in others]
            methods = map(method_module, ("pfedgpa", "fedavg"))
            return self._code(script, *scripts, *methods, model[0])

        if experiment.oneshot:
            uploads = self._study(
                [model],
                kind="uploads",
                **place,
                settings=run.settings,
                code=code("weights_uploads"),
                folder=f"results/weights/{folder}",
            )
            for fit in experiment.oneshot.fits:
                self._study(
                    [model],
                    kind="fit",
                    name=fit,
                    **place,
                    settings=experiment.oneshot.of_fit(fit, run.settings),
                    code=code("weights_fit", "weights_aggregate"),
                    folder=f"results/weights/{folder}/{fit}",
                    after=(uploads,),
                )
        if experiment.newcomers:
            self._study(
                [model],
                kind="newcomers",
                **place,
                settings=run.settings | {"newcomers": experiment.newcomers.model_dump()},
                code=code("newcomers"),
                folder=f"results/newcomers/{folder}",
            )

    def _add_fedlmg_studies(self, name: str, seed: int) -> None:
        """Classifiers, the images under each guidance, and the server's models (fedlmg sheet §3)."""
        experiment = self.settings.experiments[name]
        chosen, dataset = experiment.fedlmg, self.settings.datasets[experiment.dataset]
        place, folder = self._place(name, seed), f"results/fedlmg/{name}/seed{seed}"
        shown = {"seed": seed, "mean": dataset.mean, "std": dataset.std}
        shown |= {"imagenet": chosen.imagenet}
        models = [MODELS[model] for model in chosen.clients.models]
        files = sorted({module for module, _ in models} | {MODELS[chosen.server.model][0]})
        classifiers = self._study(
            [models],
            kind="classifiers",
            **place,
            settings=shown | {"clients": chosen.clients.model_dump(), "averages": chosen.averages},
            code=self._code("classifiers", *files),
            folder=f"{folder}/classifiers",
        )
        parts = chosen.model_dump(include=set(GuidedImagesSettings.model_fields))
        prompts = ("prompts",) if chosen.baselines else ()
        drawn = {}
        for row in ("main", *prompts, *chosen.changes):
            settings = parts | {"guidance": chosen.guidance_of(row).model_dump()}
            if row not in ("main", "prompts"):
                settings["per_class"] = chosen.ablation_per_class
            drawn[row] = self._study(
                [self._fingerprint(chosen.base.source)],
                kind="guided",
                name=row,
                **place,
                settings=shown | {"drawn": settings},
                code=self._code("guide", *files),
                folder=f"{folder}/guided_{row}",
                after=(classifiers,),
            )
        rivals = self._rivals(name, shown, place, folder)
        trained = shown | {"server": chosen.server.model_dump()}
        if chosen.rivals and chosen.rivals.dense:
            self._study(
                [MODELS[chosen.server.model]],
                kind="dense",
                name="main",
                **place,
                settings=trained | {"own": chosen.rivals.dense.model_dump()},
                code=self._code("dense", *files),
                folder=f"{folder}/dense",
                after=(classifiers,),
            )
        for row in ("main", *chosen.changes):
            # What needs no guidance stands beside main alone.
            beside = (*(drawn[p] for p in prompts), *rivals) if row == "main" else ()
            self._study(
                [MODELS[chosen.server.model]],
                kind="server",
                name=row,
                **place,
                settings=trained
                | {"sizes": chosen.sizes if row == "main" else []}
                | {"averages": chosen.averages},
                code=self._code("server", *files),
                folder=f"{folder}/server_{row}",
                after=(classifiers, drawn[row], *beside),
            )

    def _rivals(
        self, name: str, shown: dict[str, Any], place: dict[str, Any], folder: str
    ) -> list[Study]:
        """The images of FedLMG's rivals, drawn as those of prompts alone are."""
        chosen = self.settings.experiments[name].fedlmg
        plain = chosen.model_dump(include=set(GuidedImagesSettings.model_fields))
        plain["guidance"] = chosen.guidance_of("prompts").model_dump()
        studies = []
        for rival, own in chosen.drawing_rivals.items():
            # FedDISC has a diffusion model of its own.
            model = own.base.source if isinstance(own, FedDISC) else chosen.base.source
            studies.append(
                self._study(
                    [self._fingerprint(model)],
                    kind="rival",
                    name=rival,
                    **place,
                    settings=shown | {"drawn": plain, "own": own.model_dump()},
                    code=self._code("rival", f"fedgenbench.systems.fedlmg.{rival}"),
                    folder=f"{folder}/rival_{rival}",
                )
            )
        return studies

    def _synthesis(self, name: str, seed: int, kind: type[BaseModel]) -> dict[str, Any]:
        """The seed, the base model's fingerprint, and the part of an experiment's synthesis that
        decides a study."""
        chosen = self.settings.experiments[name].synthesis
        part = chosen.model_dump(include=set(kind.model_fields))
        return {"seed": seed, "model": self._fingerprint(chosen.base.source), "synthesis": part}

    def require_models(self) -> None:
        """Refuses the name of a diffusion model's folder that is not here; hub ids pass."""
        for source in self._models:
            require_place(source)

    def _fingerprint(self, source: str) -> str:
        """``fingerprint``, worked out once."""
        if source not in self._models:
            self._models[source] = fingerprint(source)
        return self._models[source]

    def _images(
        self, name: str, seed: int, kind: str, without: int | None = None
    ) -> tuple[Study, ...]:
        """The synthetic images of an experiment: one study per client that is not left ``without``,
        or one of prompts alone."""
        if kind == "prompts":
            place = self._place(name, seed) | {"partition": None}
            dataset = place["data"].dataset
            return (
                self._study(
                    [],
                    kind=kind,
                    **place,
                    settings=self._synthesis(name, seed, PromptSettings),
                    code=self._code("prompts"),
                    folder=f"results/synthesis/prompts/{dataset}/seed{seed}",
                ),
            )
        experiment = self.settings.experiments[name]
        limit = self.settings.datasets[experiment.dataset].limit_per_class
        clients, _, _ = experiment.partition.size_hint(experiment.dataset, limit)
        present = [client for client in range(clients) if client != without]
        return tuple(self._client_images(name, seed, client) for client in present)

    def _client_images(self, name: str, seed: int, client: int) -> Study:
        place = self._place(name, seed) | {"client": client}
        folder = f"results/synthesis/{name}/seed{seed}"
        tuning = self._synthesis(name, seed, AdapterSettings)
        adapter = self._study(
            [],
            kind="adapter",
            **place,
            settings=tuning | {"client": client},
            code=self._code("lora"),
            folder=f"{folder}/adapter{client}",
        )
        drawing = self._synthesis(name, seed, SamplingSettings)
        return self._study(
            [],
            kind="images",
            **place,
            settings=drawing | {"client": client},
            code=self._code("synthesise"),
            folder=f"{folder}/images{client}",
            after=(adapter,),
        )

    def _warm(self, name: str, seed: int, kind: str, without: int | None) -> Study:
        """The model trained on the synthetic images, without a client's where it is left out."""
        experiment = self.settings.experiments[name]
        dataset, model = self.settings.datasets[experiment.dataset], MODELS[experiment.model]
        place, folder = self._place(name, seed), f"results/synthesis/{name}/seed{seed}/warm_{kind}"
        if without is not None:
            domain = source_of(experiment.dataset)["facts"]["domains"][without]
            place["experiment"] = f"{name}-without-{domain}"
            folder += f"_without{without}"
        return self._study(
            [model],
            kind="warm",
            name=kind,
            **place,
            settings={
                "seed": seed,
                "model": experiment.model,
                "mean": dataset.mean,
                "std": dataset.std,
                "warm_start": experiment.synthesis.warm_start.model_dump(),
            },
            code=self._code("warm_start", model[0]),
            folder=folder,
            after=self._images(name, seed, kind, without),
        )

    def _code(self, script: str, *modules: str) -> list[str]:
        """``job_code``, worked out once: the code is the same for all of a grid's jobs."""
        if (script, *modules) not in self._codes:
            self._codes[script, *modules] = job_code(script, *modules)
        return self._codes[script, *modules]

    @property
    def used_data(self) -> dict[str, Prepared]:
        """The prepared data sets that some experiment uses."""
        used = {experiment.dataset for experiment in self.settings.experiments.values()}
        return {name: part for name, part in self.prepared.items() if name in used}

    def product_digest(self, product: str) -> str:
        """Digest of a product of the whole grid, one of ``PRODUCTS``."""
        shown = self.settings.model_dump(
            exclude={"forecast", "device", "foundation", "unclip", "only"}
        )
        # The notes too: this module is in no digest, and what it says of a run stands in every table.
        notes = [self.experiment_notes(), self.method_notes()]
        listings = self.listing(), self.study_listing(), self.synthesis_listing()
        listings += (self.fedlmg_listing(),)
        made_of = [shown, notes, *listings, job_code(product)[0]]
        made_of += [self.product_digest(name) for name in PRODUCTS[product]]
        # What the papers' files say is judged or printed in the report.
        papers = {str(path): sha256_file(path) for path in sorted(Path("papers").glob("*/*.yaml"))}
        made_of.append(self.absent_notes())
        if product in ("figures", "report"):
            record = sorted(Path("models/foundation").glob("*.json"))
            made_of.append({str(path): sha256_file(path) for path in record})
        if product == "tables":
            made_of.append({k: v for k, v in papers.items() if k.endswith("published.yaml")})
        return digest([*made_of, papers, *self.cuts] if product == "report" else made_of)

    @cached_property
    def cuts(self) -> list[dict[str, str]]:
        """What this scale changes against the paper scale, setting by setting."""
        return cuts(self.settings, self.paper)

    # What reports show --------------------------------------------------------------------------
    def listing(self) -> list[list[Any]]:
        """Experiment, method, seed, digest and folder of every run."""
        return [[r.experiment, r.method, r.seed, r.digest, r.folder] for r in self.runs]

    def of_kind(self, *kinds: str) -> list[Study]:
        return [study for study in self.studies.values() if study.kind in kinds]

    def study_listing(self) -> list[list[Any]]:
        """File, digest, experiment, seed and name of every result on pFedGPA's generator."""
        files = [
            (f"{study.folder}/{file}.json", study, study.name)
            for study in self.of_kind("fit")
            for file in ("fit", "aggregate")
        ]
        files += [(f"{s.folder}/newcomers.json", s, s.kind) for s in self.of_kind("newcomers")]
        return [[path, s.digest, s.experiment, s.seed, name] for path, s, name in files]

    def fedlmg_listing(self) -> list[list[Any]]:
        """Report, digest, experiment, seed, kind and name of every study of FedLMG."""
        return [
            [s.report, s.digest, s.experiment, s.seed, s.kind, s.name]
            for s in self.of_kind("classifiers", "guided", "rival", "dense", "server")
        ]

    def guided_images(self) -> list[list[Any]]:
        """Experiment, seed, name of guidance or rival and path of all images that pictures show."""
        return [
            [s.experiment, s.seed, s.name, f"{s.folder}/shown.safetensors"]
            for s in self.of_kind("guided", "rival")
        ]

    def synthesis_listing(self) -> list[list[Any]]:
        """Report, digest, experiment, seed, kind and client of every study of synthetic images."""
        return [
            [s.report, s.digest, s.experiment, s.seed, s.kind, s.client]
            for s in self.of_kind("adapter", "images", "prompts", "warm", "examined")
        ]

    def pictures(self) -> list[list[Any]]:
        """Experiment, seed, name and path of what the look at synthetic images draws."""
        files = {"grid": "grid.png", "duplicates": "duplicates.png", "embedding": "tsne.parquet"}
        return [
            [study.experiment, study.seed, name, f"{study.folder}/{file}"]
            for study in self.of_kind("examined")
            for name, file in files.items()
        ]

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
                    "role": _role(experiment),
                    "base": experiment.beside or name,
                    "warmfed": "warmfed" in experiment.methods,
                    "dataset": self.settings.datasets[experiment.dataset].title,
                    "clients": clients,
                    "partition": _in_words(scheme),
                    "rounds": experiment.rounds,
                    "local": f"{counted(local.epochs, 'epoch')}, batch {local.batch_size}, "
                    f"SGD lr {local.lr:g}, momentum {local.momentum:g}, "
                    f"weight decay {local.weight_decay:g}",
                    "model": experiment.model,
                    "note": experiment.note,
                },
            }
        for name, (base, number, domain) in self.left_out.items():
            shown = notes[base]["shown"]
            notes[name] = notes[base] | {
                "without": number,
                "shown": shown
                | {
                    "title": f"{shown['title']}, without {domain}",
                    "role": "left_out",
                    "base": base,
                    "left_out": domain,
                    "clients": shown["clients"] - 1,
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
                "warmfed": "warmfed" in experiment.methods,
                "role": _role(experiment),
                "leave_one_out": bool(experiment.leave_one_out),
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

    def method_notes(self) -> dict[str, dict[str, str | None]]:
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
                notes[name] |= {"of": variant.method, "start": variant.start}
        return notes


def _role(experiment: Experiment) -> str:
    """Which tables show an experiment; those of "main" compare everything, "oneshot" has no rounds."""
    if experiment.score_on == "valid":
        return "tuning"
    if experiment.fedlmg and not experiment.rows:
        return "oneshot"
    return "scale" if experiment.beside else "main"


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
            size, stride = scheme["classes_per_client"], scheme["stride"]
            shared = f", the next client's {stride} further" if stride else ""
            return f"{size} consecutive classes per client{shared}"
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
