"""``params.yaml`` to typed, validated settings. Unknown keys are refused, nothing is guessed.

The file holds the ``embedded`` scale; ``scales.smoke`` and ``scales.paper`` are overlays, merged key
by key over it (a list replaces a list). All three are validated whichever is run.

``python -m fedgenbench.config`` writes docs/params.schema.json and docs/settings.md.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fedgenbench.data.dataset import Dataset as Arrays
from fedgenbench.data.partition import Scheme, make_partition
from fedgenbench.data.sources import HOW_TO_ADD, source_of, source_table
from fedgenbench.diffusion.settings import Synthesis
from fedgenbench.errors import UserError
from fedgenbench.federated.method import METHODS, method_class
from fedgenbench.fedlmg.experiment import FedLMG
from fedgenbench.foundation.settings import Foundation
from fedgenbench.foundation.unclip_settings import UnCLIP
from fedgenbench.models.registry import FEDERATED
from fedgenbench.weightspace.study_settings import NewcomerSettings, OneShotSettings
from fedgenbench.wording import counted

SCALES = ("smoke", "embedded", "paper")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Dataset(Strict):
    """How a data set is prepared and shown to a model."""

    title: str = Field(description="Name in tables.")
    limit_per_class: int | None = Field(
        ge=1, description="Training and test images kept per class; null keeps all."
    )
    mean: list[float] = Field(min_length=1, description="Per channel, images scaled to [0, 1].")
    std: list[Annotated[float, Field(gt=0)]] = Field(min_length=1, description="Per channel.")
    augment: bool = Field(description="Random crop after a border of 4, and horizontal flip.")
    on_bad_image: Literal["refuse", "skip"] = Field(
        default="refuse",
        description="A damaged image in a folder that was placed ends the preparation, or is left "
        "out and named in the card.",
    )
    on_twins: Literal["refuse", "drop"] = Field(
        default="refuse",
        description="A training image with the pixels of a test image, in a folder that was placed, "
        "ends the preparation, or is left out and named in the card.",
    )


class Local(Strict):
    """A client's local training: SGD, the same for every method of an experiment."""

    epochs: int = Field(ge=1, description="Passes over a client's data in a round.")
    batch_size: int = Field(ge=1, description="The last batch of a pass may be smaller.")
    lr: float = Field(gt=0, description="Learning rate.")
    momentum: float = Field(ge=0, lt=1, description="Momentum, zero at the start of a round.")
    weight_decay: float = Field(ge=0, description="L2 penalty on all trained tensors.")


class Experiment(Strict):
    """One row of the grid: a data set, a partition, a model, a budget, and the methods compared."""

    title: str = Field(description="Name in tables and figures.")
    dataset: str = Field(description="A key of `datasets`.")
    partition: Scheme = Field(discriminator="scheme", description="Who holds which images.")
    model: Literal[FEDERATED] = Field(description="The clients' classifier.")
    rounds: int = Field(ge=1, description="Communication rounds.")
    participation: float = Field(gt=0, le=1, description="Share of clients in a round.")
    local: Local = Field(description="Local training.")
    engine: Literal["sequential", "vmap"] = Field(description="How clients are run.")
    evaluate_every: int = Field(
        ge=1, description="Rounds between evaluations; the first and last are always evaluated."
    )
    report_global: bool = Field(
        description="Also report the server's model, not only the clients' own."
    )
    methods: list[str] = Field(
        description="Keys of `methods`; none where `fedlmg` alone is asked, which has no rounds."
    )
    ablations: list[str] = Field(
        default=[], description="Keys of `variants` that are run beside, for tables of their own."
    )
    overrides: dict[str, dict[str, Any]] = Field(
        default={}, description="Settings of methods that differ in this experiment."
    )
    score_on: Literal["test", "valid"] = Field(
        default="test",
        description="valid scores on the images that partition.valid_fraction sets aside: for tuning, "
        "in tables of its own.",
    )
    oneshot: OneShotSettings | None = Field(
        default=None, description="pFedGPA's generator on saved uploads, away from the rounds."
    )
    newcomers: NewcomerSettings | None = Field(
        default=None, description="Clients that join pFedGPA's federation after its last round."
    )
    fedlmg: FedLMG | None = Field(
        default=None, description="FedLMG and its baselines, in one shot, beside the rounds."
    )
    synthesis: Synthesis | None = Field(
        default=None, description="Synthetic images, for the methods that use them."
    )
    leave_one_out: list[str] = Field(
        default=[],
        description="Methods that are also run without each domain in turn and scored on it.",
    )
    beside: str | None = Field(
        default=None,
        description="The experiment whose tables show this one at another number of clients.",
    )
    note: str = Field(description="What was cut against the papers' setting; printed in reports.")


class Variant(Strict):
    """A method under other settings, as a row of its own."""

    method: str = Field(description="A key of `methods`.")
    title: str = Field(description="Name in tables.")
    settings: dict[str, Any] = Field(description="What differs, over `methods` and `overrides`.")
    start: Literal["warm", "scratch"] | None = Field(
        default=None,
        description="warm: from the model trained on synthetic images; null: as the method does.",
    )


class Forecast(Strict):
    """Measured costs that a dry run's forecast is made of."""

    seconds_per_1000_samples: dict[str, float] = Field(
        description="Training cost of a model on one CPU core: forward, backward and update."
    )
    passes: dict[str, float] = Field(
        description="Cost of a method's local training relative to FedAvg's; 1 if absent."
    )
    guided_step_seconds: float = Field(
        ge=0, description="One gradient of guidance for one image, on one CPU core."
    )
    start_seconds: float = Field(ge=0, description="Start of a job: imports and data.")


class Settings(Strict):
    """The whole configuration at one scale."""

    scale: Literal["smoke", "embedded", "paper"] = Field(description="What `snakemake` runs.")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        min_length=1, description="One repetition each: split, initial weights and batch order."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        description="auto takes a GPU where one answers. cpu frees jobs from the gpu resource."
    )
    score_rounds: int = Field(
        ge=1, description="Evaluations at the end of a run whose mean is the score."
    )
    confidence: float = Field(gt=0, lt=1, description="Of the t-intervals over seeds.")
    on_bad_upload: Literal["stop", "skip"] = Field(
        description="A non-finite or misshapen upload ends the run, or is left out and recorded."
    )
    note: str = Field(description="What the scale is sized for; printed with what it cuts.")
    datasets: dict[str, Dataset] = Field(description="By name of the source in data/sources.yaml.")
    methods: dict[str, dict[str, Any]] = Field(description="Settings of each method.")
    foundation: Foundation = Field(description="The miniature Stable Diffusion.")
    unclip: UnCLIP = Field(description="The miniature unCLIP beside it, for FedDISC.")
    variants: dict[str, Variant] = Field(default={}, description="For `ablations`.")
    experiments: dict[str, Experiment] = Field(
        min_length=1,
        description="The grid. `like: <experiment>` takes over what an experiment does not say; null, in "
        "a scale, leaves it out.",
    )
    forecast: Forecast = Field(description="For the forecast of a dry run only.")

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: {self.seeds} names one twice")
        for name in self.methods:
            if name not in METHODS:
                raise ValueError(f"methods: {_unknown(name, METHODS)}")
        for name, variant in self.variants.items():
            if name in METHODS:
                raise ValueError(f"variants.{name}: a method has this name; choose another")
            if variant.method not in self.methods:
                raise ValueError(
                    f"variants.{name}.method: {_unknown(variant.method, self.methods)}"
                )
        for key, experiment in self.experiments.items():
            where = f"experiments.{key}"
            if not (experiment.methods or experiment.fedlmg):
                raise ValueError(f"{where}.methods: name one, or give it `fedlmg`")
            for name in experiment.ablations:
                if name not in self.variants:
                    raise ValueError(f"{where}.ablations: {_unknown(name, self.variants)}")
            for name in experiment.leave_one_out:
                if name not in (*experiment.methods, *experiment.ablations):
                    raise ValueError(f"{where}.leave_one_out: {name!r} is none of its rows")
            if experiment.leave_one_out and experiment.partition.scheme != "domain":
                raise ValueError(f"{where}.leave_one_out: needs partition.scheme: domain")
            if experiment.beside is not None and experiment.beside not in self.experiments:
                fault = _unknown(experiment.beside, self.experiments)
                raise ValueError(f"{where}.beside: {fault}")
            for name in (*experiment.methods, *experiment.ablations):
                known = name in self.variants or name in METHODS
                if experiment.synthesis is None and known and self.images(name):
                    raise ValueError(f"{where}: {name} needs `synthesis`")
            for name in experiment.overrides:
                if name not in self.methods:
                    raise ValueError(f"{where}.overrides: {_unknown(name, self.methods)}")
            if (experiment.oneshot or experiment.newcomers) and "pfedgpa" not in self.methods:
                raise ValueError(f"{where}: its studies are of pfedgpa, which `methods` lacks")
            if experiment.score_on == "valid" and not experiment.partition.valid_fraction:
                raise ValueError(
                    f"{where}.score_on: valid needs a partition.valid_fraction above 0"
                )
            if experiment.dataset not in self.datasets:
                fault = _unknown(experiment.dataset, self.datasets)
                raise ValueError(f"{where}.dataset: {fault}; `datasets` has to name it")
            if len(set(experiment.methods)) < len(experiment.methods):
                raise ValueError(f"{where}.methods names one twice")
            for name in experiment.methods:
                if name not in METHODS:
                    raise ValueError(f"{where}.methods: {_unknown(name, METHODS)}")
                if name not in self.methods:
                    raise ValueError(f"{where}.methods: {name!r} has no settings under `methods`")
            if experiment.report_global and experiment.partition.scheme == "fedpac":
                # The same label mix in training and test is what that scheme is for.
                raise ValueError(f"{where}.report_global: fedpac's test sets are personal")
        return self

    def played(self, experiment: str, name: str) -> tuple[str, dict[str, Any]]:
        """The method behind ``name``, a method or a variant, and its settings in an experiment."""
        variant = self.variants.get(name)
        method = variant.method if variant else name
        values = merge(self.methods[method], self.experiments[experiment].overrides.get(method, {}))
        return method, merge(values, variant.settings) if variant else values

    def images(self, name: str) -> Literal["adapters", "prompts"] | None:
        """Which synthetic images ``name``, a method or a variant, makes use of, if any."""
        variant = self.variants.get(name)
        own = method_class(variant.method if variant else name).images
        return "adapters" if variant and variant.start == "warm" and not own else own

    def warm(self, name: str) -> bool:
        """Does ``name``, a method or a variant, start from a model trained on synthetic images?"""
        start = self.variants[name].start if name in self.variants else None
        return self.images(name) is not None if start is None else start == "warm"


def _unknown(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
    return f"{name!r} is not known; {hint}"


class NoTwins(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, of which YAML would silently take the last.

    Reads YAML 1.2, as DVC does: only true and false are booleans, 1e-05 is a number; 010, 1:30 and
    2026-01-01 are text.
    """

    yaml_implicit_resolvers: ClassVar = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                mark = node.value[number][0].start_mark
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", mark)
        return super().construct_mapping(node, deep)


for _tag, _form, _first in (  # the core schema
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", "[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", "<<", "<"),
):
    NoTwins.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_form})$"), list(_first)
    )


def merge(base: dict, overlay: dict) -> dict:
    """``overlay`` over ``base``, key by key; anything but a mapping replaces."""
    merged = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        # Another partition scheme is another type: its keys do not mix with the old one's.
        fresh = both and "scheme" in value and value["scheme"] != merged[key].get("scheme")
        merged[key] = merge(merged[key], value) if both and not fresh else value
    return merged


def load(
    path: str | Path = "params.yaml", overrides: dict | None = None
) -> tuple[str, dict[str, Settings]]:
    """The scale that is asked for, and the settings of every scale by name.

    ``overrides`` (Snakemake's --config) come after the file and before the scales' overlays.

    Raises:
        UserError: names the file, the scale and each faulty key, with the way out.
    """
    try:
        raw = yaml.load(Path(path).read_text(encoding="utf-8"), NoTwins)  # a SafeLoader
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run in the repository's folder") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise UserError(f"{path} must be a mapping of settings")
    overlays = raw.pop("scales", None) or {}
    if not isinstance(overlays, dict) or not all(
        isinstance(overlay or {}, dict) for overlay in overlays.values()
    ):
        raise UserError(f"{path}: scales must map each scale to a mapping of settings")
    raw = merge(raw, overrides or {})
    chosen = raw.get("scale")
    if chosen not in SCALES:
        raise UserError(f"{path}: scale: {_unknown(str(chosen), SCALES)}")
    for name in overlays:
        if name not in SCALES:
            raise UserError(f"{path}: scales: {_unknown(name, SCALES)}")
    # The scale that runs is checked first, so that its errors are the ones shown.
    order = sorted(SCALES, key=lambda name: name != chosen)
    merged = {name: merge(merge(raw, overlays.get(name) or {}), {"scale": name}) for name in order}
    return chosen, {name: _validate(_filled(raw, path), path, name) for name, raw in merged.items()}


def _filled(raw: dict, path: str | Path) -> dict:
    """``raw`` with every experiment's ``like`` replaced by what it stands for.

    An experiment that is null, as a scale's overlay may have it, is left out.
    """
    given = raw.get("experiments")
    if not isinstance(given, dict):
        return raw

    def fill(name: str, above: tuple[str, ...] = ()) -> Any:
        entry = given[name]
        if not isinstance(entry, dict) or "like" not in entry:
            return entry
        base = entry["like"]
        if given.get(base) is None or base in (*above, name):
            raise UserError(
                f"{path}: experiments.{name}.like: name another experiment, not {base!r}, and not "
                "in a circle"
            )
        own = {key: value for key, value in entry.items() if key != "like"}
        return merge(fill(base, (*above, name)), own)

    kept = [name for name, entry in given.items() if entry is not None]
    return raw | {"experiments": {name: fill(name) for name in kept}}


def _validate(raw: dict, path: str | Path, scale: str) -> Settings:
    faults = [f"{key}: must be finite" for key in _not_finite(raw)]
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        faults += [_explain(item) for item in error.errors()]
        raise UserError(_message(path, scale, faults)) from None
    for name, values in settings.methods.items():
        try:
            method_class(name).Settings.model_validate(values)
        except ValidationError as error:
            faults += [_explain(item, ("methods", name)) for item in error.errors()]
    for key, experiment in settings.experiments.items():
        for name in (*experiment.methods, *experiment.ablations):
            method, values = settings.played(key, name)
            where = f"experiments.{key}: {name}"
            try:
                method_class(method).Settings.model_validate(values)
            except ValidationError as error:
                faults += [_explain(item, (where,)) for item in error.errors()]
        for name, fit in experiment.oneshot.fits.items() if experiment.oneshot else ():
            values = settings.played(key, "pfedgpa")[1] | fit.generator
            try:
                method_class("pfedgpa").Settings.model_validate(values)
            except ValidationError as error:
                where = f"experiments.{key}.oneshot.fits.{name}.generator"
                faults += [_explain(item, (where,)) for item in error.errors()]
    for key, experiment in settings.experiments.items():
        faults += _guidance_faults(f"experiments.{key}.fedlmg", experiment.fedlmg)
    for name in set(settings.forecast.passes) - set(METHODS):
        faults.append(f"forecast.passes: {_unknown(name, METHODS)}")
    for key, experiment in settings.experiments.items():
        if experiment.model not in settings.forecast.seconds_per_1000_samples:
            faults.append(
                f"forecast.seconds_per_1000_samples: no figure for {experiment.model!r} ({key})"
            )
    for name, dataset in settings.datasets.items():
        if name not in source_table():
            faults.append(f"datasets: {_unknown(name, source_table())}; one of yours: {HOW_TO_ADD}")
        if len(dataset.mean) != len(dataset.std):
            faults.append(f"datasets.{name}: mean and std must name as many channels")
    if not faults:
        faults = list(_partition_faults(settings))
    if not faults:
        faults = list(_method_faults(settings))
    if faults:
        raise UserError(_message(path, scale, faults))
    return settings


def _guidance_faults(where: str, chosen: FedLMG | None) -> Iterator[str]:
    """Ablations that change no setting of guidance, sizes that are no part of all images."""
    if chosen is None:
        return
    for name in chosen.changes:
        if not re.fullmatch("[a-z0-9_]+", name) or name in ("main", "prompts"):
            yield f"{where}.ablations: {name!r}: lower-case letters, digits and _, and a new name"
        try:
            chosen.guidance_of(name)
        except ValidationError as error:
            yield from (_explain(item, (where, "ablations", name)) for item in error.errors())
    for size in chosen.sizes:
        if size >= chosen.per_class:
            yield f"{where}.sizes: {size} is not below per_class, {chosen.per_class}"
    compared = chosen.ablation_per_class
    if chosen.changes and compared not in (*chosen.sizes, chosen.per_class):
        yield f"{where}.ablation_per_class: {compared} is neither per_class nor one of sizes"
    if chosen.rivals and not chosen.baselines:
        yield f"{where}.rivals: they stand beside the baselines; set baselines to true"


def _partition_faults(settings: Settings) -> Iterator[str]:
    """What partition jobs would refuse, found from the data sets' known class counts."""
    for key, experiment in settings.experiments.items():
        limit = settings.datasets[experiment.dataset].limit_per_class
        labels = _labels(experiment.dataset, limit)
        clients, images = getattr(experiment.partition, "clients", 1), len(labels.train_labels)
        if clients > images:
            fault = f"{clients} for {images} training images of {experiment.dataset}: lower it"
            yield f"experiments.{key}.partition.clients: {fault}"
            continue
        try:
            make_partition(labels, experiment.partition, settings.seeds[0])
        except UserError as error:
            yield f"experiments.{key}.{error}"


def _method_faults(settings: Settings) -> Iterator[str]:
    """What methods would refuse, given an experiment's rounds and clients."""
    for key, experiment in settings.experiments.items():
        limit = settings.datasets[experiment.dataset].limit_per_class
        clients, _, _ = experiment.partition.size_hint(experiment.dataset, limit)
        present = max(1, round(experiment.participation * clients))
        for name in (*experiment.methods, *experiment.ablations):
            method, values = settings.played(key, name)
            chosen = method_class(method).Settings.model_validate(values)
            if fault := chosen.fault(present, experiment.rounds):
                yield f"experiments.{key}: {name}: {fault}"
        if joining := experiment.newcomers:
            residents = clients - max(1, round(joining.share * clients))
            chosen = method_class("pfedgpa").Settings.model_validate(
                settings.played(key, "pfedgpa")[1]
            )
            where = f"experiments.{key}.newcomers"
            if residents < 2:
                yield f"{where}.share: {joining.share:g} of {clients} clients leaves {residents}"
            elif fault := chosen.fault(
                max(1, round(experiment.participation * residents)), experiment.rounds
            ):
                yield f"{where}: {fault}"
            if max(joining.steps) > chosen.inversion_steps:
                fault = (
                    f"{max(joining.steps)} is more than inversion_steps {chosen.inversion_steps}"
                )
                yield f"{where}.steps: {fault}"


def _labels(name: str, limit_per_class: int | None) -> Arrays:
    """A data set without images that has as many labels per class as the real one."""
    facts = source_of(name)["facts"]
    domains = facts.get("domains")
    limit = (limit_per_class or math.inf) * len(domains or [name])
    arrays = {}
    for part in ("train", "test"):
        counts = [int(min(count, limit)) for count in facts[part]]
        arrays[f"{part}_images"] = np.empty(0, np.uint8)
        arrays[f"{part}_labels"] = np.repeat(np.arange(len(counts)), counts)
        if domains:
            arrays[f"{part}_domains"] = np.arange(sum(counts)) % len(domains)
    card = {"name": name, "title": name, "classes": facts["train"], "domains": domains}
    return Arrays(card=card | {"sha256": ""}, **arrays)


def _not_finite(tree: Any, prefix: str = "") -> Iterator[str]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from _not_finite(value, f"{prefix}{key}.")
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{prefix}{key} = {value}"


def _message(path: str | Path, scale: str, faults: list[str]) -> str:
    lines = "\n".join(f"  {fault}" for fault in dict.fromkeys(faults))
    return f"{path} (scale {scale}) has {counted(len(faults), 'fault')}:\n{lines}\nSee docs/settings.md."


def _explain(error: Any, prefix: tuple[str, ...] = ()) -> str:
    # Of a partition's address pydantic makes partition.<scheme>.<key>.
    place = [*prefix, *error["loc"]]
    if "partition" in place[:-2]:
        del place[place.index("partition") + 1]
    key = ".".join(str(part) for part in place)
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; is it misspelt or in the wrong place?"
    if error["type"] == "missing":
        return f"{key}: missing"
    if error["type"] == "value_error":
        # A validator of the whole names the place itself.
        return ": ".join([*prefix, str(error["ctx"]["error"])])
    value = "" if isinstance(error["input"], dict) else f" = {error['input']!r}"
    return f"{key}{value}: {error['msg']}"


# Generated documentation -----------------------------------------------------------------------
def schema() -> str:
    """The JSON schema of ``params.yaml`` (editors complete and check from it)."""
    document = Settings.model_json_schema()
    document["title"] = "FedGenBench settings"
    # What stands in for another experiment says only what differs from it.
    like = {"type": "object", "properties": {"like": {"type": "string"}}, "required": ["like"]}
    experiments = document["properties"]["experiments"]
    experiments["additionalProperties"] = {"anyOf": [experiments["additionalProperties"], like]}
    document["properties"]["scales"] = {
        "description": "Overlays of the keys above, by scale.",
        "type": "object",
        "propertyNames": {"enum": list(SCALES)},
    }
    methods = {
        name: method_class(name).Settings.model_json_schema() | {"description": _first_line(name)}
        for name in METHODS
    }
    document["properties"]["methods"] = {
        "type": "object",
        "properties": methods,
        "additionalProperties": False,
    }
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _first_line(method: str) -> str:
    cls = method_class(method)
    return f"{cls.label}. {(cls.__doc__ or '').strip().splitlines()[0]}"


def page() -> str:
    """The settings page of the documentation, in Markdown."""
    lines = [
        "# Settings",
        "",
        "Generated from the types in `src/fedgenbench/config.py`; do not edit. Every value, with its",
        "reason, stands in `params.yaml`.",
        "",
    ]
    documents = Settings.model_json_schema()
    parts = {"Settings": documents, **documents["$defs"]}
    for title, part in parts.items():
        lines += [f"## {title}", "", (part.get("description") or "").strip(), ""]
        lines += _rows(part)
    lines += ["## Methods", ""]
    for name in METHODS:
        cls = method_class(name)
        lines += [f"### `{name}`", "", f"{_first_line(name)} Source: {cls.source}.", ""]
        lines += _rows(cls.Settings.model_json_schema())
    return "\n".join(lines).rstrip() + "\n"


def _rows(part: dict[str, Any]) -> list[str]:
    if not part.get("properties"):
        return []
    rows = ["| key | type | meaning |", "| --- | --- | --- |"]
    for key, value in part["properties"].items():
        rows.append(f"| `{key}` | {_type(value)} | {value.get('description', '')} |")
    return [*rows, ""]


def _type(value: dict[str, Any]) -> str:
    if "$ref" in value:
        return value["$ref"].rsplit("/", 1)[-1]
    for union in ("anyOf", "oneOf"):
        if union in value:
            return " or ".join(_type(item) for item in value[union])
    if "enum" in value:
        return ", ".join(f"`{item}`" for item in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    bounds = [
        f"{sign} {value[key]:g}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in value
    ]
    kind = value.get("type", "any")
    if kind == "array":
        kind = f"list of {_type(value['items'])}" if "items" in value else "list"
    return " ".join([kind, ", ".join(bounds)]).strip()


if __name__ == "__main__":
    from fedgenbench.runtime.files import write_text

    write_text("docs/params.schema.json", schema())
    write_text("docs/settings.md", page())
