"""Settings of FedLMG: the block `fedlmg` of an experiment. Loads nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field, ValidationError

from fedgenbench.core.settings import Distinct, PlainName, Statistics, Strict, explain
from fedgenbench.core.wording import unknown
from fedgenbench.data.sources import image_shape, source_of
from fedgenbench.images.folder import present
from fedgenbench.images.guidance_settings import Guidance
from fedgenbench.images.settings import Base
from fedgenbench.models.limits import PRETRAINED, alone, small
from fedgenbench.systems.base import Block, Place
from fedgenbench.systems.fedlmg.baseline_settings import DRAWING, Rivals
from fedgenbench.systems.fedlmg.settings import (
    Clients,
    Editing,
    GuidedImagesSettings,
    MultiRound,
    Server,
)


class FedLMG(Block, GuidedImagesSettings):
    """One shot: classifiers go up, images are drawn under their guidance, one model is trained."""

    clients: Clients = Field(description="Training of the clients' classifiers.")
    server: Server = Field(description="Training of the server's model.")
    sizes: Annotated[list[Annotated[int, Field(ge=1)]], Distinct] = Field(
        description="Numbers of images per client and class for the curve, besides all of them."
    )
    ablations: dict[PlainName, dict[str, float | int | bool | str] | None] | None = Field(
        description="Rows of the ablation table: a name, and what it changes in `guidance`, or the "
        "`statistics` of clients and server; null leaves one out, or all."
    )
    ablation_per_class: int = Field(
        ge=1,
        description="Images per client and class of an ablation, which is compared with the first so "
        "many guided images: one of `sizes`, or `per_class`.",
    )
    imagenet: str | None = Field(
        description="Folder of torchvision's ImageNet weights, one `<architecture>.pth` or "
        "`.safetensors` each, from which clients and server start; null: from named random weights."
    )
    baselines: bool = Field(
        description="The ceiling and the rows that need no guided image; those that average weights "
        "only where clients and server have one architecture."
    )
    noises: Annotated[list[Annotated[int, Field(ge=1)]], Distinct] = Field(
        description="Levels of Gaussian noise on the uploaded parameters, each a row as an ablation: per "
        "cent of the deviation of the tensor that a parameter is in."
    )
    bases: dict[PlainName, Base | None] | None = Field(
        description="Rows that draw with another diffusion model; where its folder is not here, the row "
        "is left out and tables say so. null leaves one out, or all."
    )
    editing: Editing | None = Field(
        description="Trials of the editing of noise, in the first repetition: their losses on the "
        "server's own images are what `guidance` is set by. null: none are made."
    )
    unseen_domains: bool = Field(
        description="Also ask how good the server's model is on each client's domain without its upload; "
        "for partitions with a domain a client."
    )
    multi_round: MultiRound | None = Field(
        description="FedAvg, FedProx, FedDyn and FedDF in rounds; needs `baselines`."
    )
    rivals: Rivals | None = Field(
        description="Other one-shot methods on the same protocol; needs `baselines`."
    )

    @property
    def averages(self) -> bool:
        """Do the clients' weights have a mean?"""
        return self.baselines and {*self.clients.models} == {self.server.model}

    @property
    def changes(self) -> dict[str, dict[str, Any]]:
        """The ablations that are not left out."""
        return {name: each for name, each in (self.ablations or {}).items() if each is not None}

    @property
    def other_bases(self) -> dict[str, Base]:
        """Rows that draw with another model, whether or not it is here."""
        return {f"base_{name}": each for name, each in (self.bases or {}).items() if each}

    @property
    def variations(self) -> list[str]:
        """Rows beside ``main`` that are drawn under a classifier, of models that are here."""
        there = [name for name, each in self.other_bases.items() if present(each.source)]
        return [*self.changes, *(f"noise_{level}" for level in self.noises), *there]

    def drawn(self, row: str) -> dict[str, Any]:
        """What decides the images of ``main``, of ``prompts`` or of a variation."""
        part = self.model_dump(include=set(GuidedImagesSettings.model_fields))
        part["guidance"] = self.guidance_of(row).model_dump()
        if row in self.other_bases:
            part["base"] = self.other_bases[row].model_dump()
        if row not in ("main", "prompts"):
            part["per_class"] = self.ablation_per_class
        return part

    def tried(self) -> dict[str, Any]:
        """What decides the images of the trials of editing; not how ``main`` is edited now."""
        assert self.editing
        part = self.drawn("main") | {"per_class": self.editing.per_class}
        part["guidance"] |= {"editing_steps": 0, "editing_step": 1.0}
        return part

    def upload_noise(self, row: str) -> float:
        """Of a variation; zero for all others."""
        return (
            float(row.removeprefix("noise_")) if row in map("noise_{}".format, self.noises) else 0.0
        )

    @property
    def drawing_rivals(self) -> dict[str, Strict]:
        """The rivals that draw images, in the order of the tables."""
        found = {name: getattr(self.rivals, name) for name in DRAWING} if self.rivals else {}
        return {name: own for name, own in found.items() if own}

    def guidance_of(self, row: str) -> Guidance:
        """The guidance of ``main``, of ``prompts``, which has none, or of an ablation."""
        changes = {"main": {}, "prompts": {"editing_steps": 0, "guide": False}}
        changes |= self.changes
        changed = {k: v for k, v in changes.get(row, {}).items() if k != "statistics"}
        return Guidance.model_validate(self.guidance.model_dump() | changed)

    def trained_in(self, row: str) -> tuple[Clients, Server]:
        """How the classifiers and the server's model of a row are trained."""
        kind = self.changes.get(row, {}).get("statistics")
        changed = {} if kind is None else {"statistics": kind}
        return self.clients.model_copy(update=changed), self.server.model_copy(update=changed)

    def problems(self, place: Place) -> Iterator[str]:
        where = f"{place.where}.fedlmg"
        yield from self._ablation_problems(where)
        yield from self._size_problems(where)
        yield from self._total_problems(where)
        if self.unseen_domains and place.experiment.partition.scheme != "domain":
            yield f"{where}.unseen_domains: needs partition.scheme domain; set it to false"
        _, edge = image_shape(place.experiment.dataset)
        clients = [
            (f"{where}.clients", name, self.clients) for name in dict.fromkeys(self.clients.models)
        ]
        for part, name, training in [*clients, (f"{where}.server", self.server.model, self.server)]:
            key = "model" if training is self.server else "models"
            yield from small(f"{part}.{key}", name, place.experiment.dataset, edge)
            yield from alone(f"{part}.batch_size", name, training)
            if self.imagenet and name not in PRETRAINED:
                known = ", ".join(sorted(PRETRAINED))
                yield f"{where}.imagenet: {name} has no ImageNet weights: set it to null, or use {known}"

    def _ablation_problems(self, where: str) -> Iterator[str]:
        """Ablations that change no setting of guidance."""
        for name in self.changes:
            if name in ("main", "prompts") or name.startswith(("noise_", "base_")):
                yield f"{where}.ablations: {name!r} is a row already; choose another name"
                continue
            if (kind := self.changes[name].get("statistics", "running")) not in get_args(
                Statistics
            ):
                yield f"{where}.ablations.{name}.statistics: {unknown(str(kind), get_args(Statistics))}"
            try:
                self.guidance_of(name)
            except ValidationError as error:
                yield from (explain(item, (where, "ablations", name)) for item in error.errors())

    def _total_problems(self, where: str) -> Iterator[str]:
        """What has ``per_class`` images of each, beside ``total_per_class`` of all."""
        others = {"sizes": self.sizes, "ablations": self.changes, "noises": self.noises}
        others |= {"bases": self.other_bases, "rivals": self.drawing_rivals}
        for name, rows in others.items():
            if self.total_per_class and rows:
                yield f"{where}.{name}: have per_class images of each client; leave total_per_class null"

    def _size_problems(self, where: str) -> Iterator[str]:
        """Sizes that are no part of all images, and baselines without those that they stand beside."""
        for size in self.sizes:
            if size >= self.per_class:
                yield f"{where}.sizes: {size} is not below per_class, {self.per_class}"
        compared = self.ablation_per_class
        if self.variations and compared not in (*self.sizes, self.per_class):
            yield f"{where}.ablation_per_class: {compared} is neither per_class nor one of sizes"
        for name in ("rivals", "multi_round"):
            if getattr(self, name) and not self.baselines:
                yield f"{where}.{name}: they stand beside the baselines; set baselines to true"

    def models(self) -> dict[str, str]:
        named = {"base.source": self.base.source}
        for row, each in self.other_bases.items():
            if row in self.variations:
                named[f"bases.{row.removeprefix('base_')}.source"] = each.source
        if self.rivals and self.rivals.feddisc:
            named["rivals.feddisc.base.source"] = self.rivals.feddisc.base.source
        return named

    def loaded(self) -> dict[str, str]:
        named, fgl = self.models(), self.rivals and self.rivals.fgl
        return named | (
            {"rivals.fgl.captioner": fgl.captioner} if fgl and fgl.captioner != "names" else {}
        )

    def missing(self, where: str) -> Iterator[str]:
        if self.multi_round and not Path(self.multi_round.public).exists():
            yield (
                f"{self.multi_round.public}: {where}.multi_round.public names these images; put them "
                "there, or set multi_round to null"
            )
        if self.imagenet is None:
            return
        for model in dict.fromkeys((*self.clients.models, self.server.model)):
            stem = f"{self.imagenet}/{model}"
            if not any(Path(f"{stem}{end}").is_file() for end in (".pth", ".safetensors")):
                yield (
                    f"{stem}.pth: {where}.imagenet names this folder; put torchvision's ImageNet weights "
                    "there, .pth or .safetensors"
                )

    def seconds(self, place: Place) -> float:
        """As if all clients and the server had the experiment's model: classifiers, images, and what
        is trained on them."""
        costs, (clients, train, _) = place.settings.forecast, place.sizes
        classes = len(source_of(place.experiment.dataset)["facts"]["train"])
        held = clients * getattr(place.experiment.partition, "classes_per_client", classes)
        rivals = self.drawing_rivals
        plain = self.sampler.steps / 4  # a denoising step costs a quarter of a gradient
        images = classes * self.total_per_class if self.total_per_class else held * self.per_class
        gradients = images * plain * (self.baselines + len(rivals))
        for row in ("main", *self.variations):
            count = images if row == "main" else held * self.ablation_per_class
            chosen = self.guidance_of(row)
            each = 4 * plain if chosen.form == "noise" else 5 * plain
            gradients += count * (chosen.editing_steps + each)
        if tried := self.editing:  # in one repetition of all
            taken = len(tried.sizes) * (sum(tried.steps) + self.sampler.steps * len(tried.steps))
            seeds = len(place.settings.seeds)
            gradients += held * tried.per_class * (taken + self.sampler.steps) / seeds
        # All rows of synthetic images take as many steps: three of FedLMG, two of a variation or size.
        rows = 3 + 2 * len(self.sizes) + 2 * len(self.variations)
        rows += (1 + len(self.sizes) + len(rivals)) * self.baselines + clients * self.unseen_domains
        passes: float = rows * images * self.server.epochs
        # The ceilings; a head alone is a third of the work.
        passes += clients * train * 4 / 3 * self.server.epochs * self.baselines
        passes += clients * train * self.clients.epochs
        if multi := self.multi_round:
            methods = 1 + 3 * self.averages
            passes += multi.rounds * multi.epochs * clients * train * methods
            # FedDF: a pass without gradient of each client's model, and the server's own.
            passes += multi.rounds * multi.public_images * (clients / 3 + multi.distillation_epochs)
        jobs = 3 + 2 * len(self.variations) + self.baselines + len(rivals) + bool(self.multi_round)
        if self.rivals and (dense := self.rivals.dense):
            jobs += 1  # each of the generator's steps passes through all clients' classifiers
            passes += clients * dense.epochs * dense.generator_steps * dense.batch_size
        per_1000 = costs.seconds_per_1000_samples[place.experiment.model]
        start = costs.start_seconds * jobs
        return start + gradients * costs.guided_step_seconds + passes / 1000 * per_1000
