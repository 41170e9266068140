"""Settings of FedLMG: the block `fedlmg` of an experiment. Loads nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from fedgenbench.core.settings import Distinct, PlainName, Strict, explain
from fedgenbench.data.sources import image_shape, source_of
from fedgenbench.images.guidance_settings import Guidance
from fedgenbench.models.limits import PRETRAINED, alone, small
from fedgenbench.systems.base import Block, Place
from fedgenbench.systems.fedlmg.baseline_settings import DRAWING, Rivals
from fedgenbench.systems.fedlmg.settings import Clients, GuidedImagesSettings, Server


class FedLMG(Block, GuidedImagesSettings):
    """One shot: classifiers go up, images are drawn under their guidance, one model is trained."""

    clients: Clients = Field(description="Training of the clients' classifiers.")
    server: Server = Field(description="Training of the server's model.")
    sizes: Annotated[list[Annotated[int, Field(ge=1)]], Distinct] = Field(
        description="Numbers of images per client and class for the curve, besides all of them."
    )
    ablations: dict[PlainName, dict[str, float | int | bool | str] | None] | None = Field(
        description="Rows of the ablation table: a name, and what it changes in `guidance`; null "
        "leaves one out, or all."
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
    def drawing_rivals(self) -> dict[str, Strict]:
        """The rivals that draw images, in the order of the tables."""
        found = {name: getattr(self.rivals, name) for name in DRAWING} if self.rivals else {}
        return {name: own for name, own in found.items() if own}

    def guidance_of(self, row: str) -> Guidance:
        """The guidance of ``main``, of ``prompts``, which has none, or of an ablation."""
        changes = {"main": {}, "prompts": {"editing_steps": 0, "guide": False}}
        changes |= self.changes
        return Guidance.model_validate(self.guidance.model_dump() | changes[row])

    def problems(self, place: Place) -> Iterator[str]:
        where = f"{place.where}.fedlmg"
        yield from self._ablation_problems(where)
        yield from self._size_problems(where)
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
            if name in ("main", "prompts"):
                yield f"{where}.ablations: {name!r} is a row already; choose another name"
                continue
            try:
                self.guidance_of(name)
            except ValidationError as error:
                yield from (explain(item, (where, "ablations", name)) for item in error.errors())

    def _size_problems(self, where: str) -> Iterator[str]:
        """Sizes that are no part of all images, and baselines without those that they stand beside."""
        for size in self.sizes:
            if size >= self.per_class:
                yield f"{where}.sizes: {size} is not below per_class, {self.per_class}"
        compared = self.ablation_per_class
        if self.changes and compared not in (*self.sizes, self.per_class):
            yield f"{where}.ablation_per_class: {compared} is neither per_class nor one of sizes"
        if self.rivals and not self.baselines:
            yield f"{where}.rivals: they stand beside the baselines; set baselines to true"

    def models(self) -> dict[str, str]:
        named = {"base.source": self.base.source}
        if self.rivals and self.rivals.feddisc:
            named["rivals.feddisc.base.source"] = self.rivals.feddisc.base.source
        return named

    def loaded(self) -> dict[str, str]:
        named, fgl = self.models(), self.rivals and self.rivals.fgl
        return named | (
            {"rivals.fgl.captioner": fgl.captioner} if fgl and fgl.captioner != "names" else {}
        )

    def missing(self, where: str) -> Iterator[str]:
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
        gradients = held * self.per_class * plain * (self.baselines + len(rivals))
        for row in ("main", *self.changes):
            count = self.per_class if row == "main" else self.ablation_per_class
            gradients += held * count * (self.guidance_of(row).editing_steps + 5 * plain)
        # Images per row of the server: three ways of FedLMG, and one of each other.
        trained: float = held * (
            3 * self.per_class + 3 * len(self.changes) * self.ablation_per_class
        )
        trained += held * 3 * sum(self.sizes)
        if self.baselines:
            trained += held * (self.per_class * (2 + len(rivals)) + sum(self.sizes))
            trained += clients * train * 4 / 3  # the ceilings; a head alone is a third of the work
        passes = trained * self.server.epochs
        passes += clients * train * self.clients.epochs * (1 + self.averages)
        jobs = 3 + 2 * len(self.changes) + self.baselines + len(rivals)
        if self.rivals and (dense := self.rivals.dense):
            jobs += 1  # each of the generator's steps passes through all clients' classifiers
            passes += clients * dense.epochs * dense.generator_steps * dense.batch_size
        per_1000 = costs.seconds_per_1000_samples[place.experiment.model]
        start = costs.start_seconds * jobs
        return start + gradients * costs.guided_step_seconds + passes / 1000 * per_1000
