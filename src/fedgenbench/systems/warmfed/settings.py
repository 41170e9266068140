"""Settings of WarmFed: the block `warmfed` of an experiment. Loads nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from fedgenbench.core.settings import SGDSettings, Strict
from fedgenbench.images.folder import missing_targets
from fedgenbench.images.settings import Base, Lora, Sampler, Template
from fedgenbench.models.limits import alone
from fedgenbench.systems.base import Block, Place


class Prompts(Strict):
    """FGL's images: prompts alone, no adapter."""

    templates: list[Template] = Field(
        min_length=1, description="One per style, each with {label}; equal ones are allowed."
    )
    per_class: int = Field(ge=1, description="Images per template and class.")


class WarmStart(SGDSettings):
    """Training of the first global model, from scratch, on synthetic images alone."""


class Examine(Strict):
    """What the look at the images, and the attack on the adapters, draw and compare."""

    members: int = Field(
        ge=2, description="Images of each kind per client in the membership attack, at most."
    )
    draws: int = Field(ge=1, description="Noises and times per image in that attack.")
    shown: int = Field(ge=1, description="Images per client and kind in the embedding.")


class AdapterSettings(Strict):
    """What decides an adapter, beside data and code."""

    base: Base = Field(description="The diffusion model.")
    prompt: Template = Field(description="Caption of a class while tuning, and its prompt.")
    lora: Lora = Field(description="One adapter per client.")


class SamplingSettings(Strict):
    """What decides the images of an adapter."""

    base: Base = Field(description="The diffusion model.")
    sampler: Sampler = Field(description="How images are drawn, with and without adapters.")
    per_class: int = Field(ge=1, description="Images per client and class.")


class PromptSettings(Strict):
    """What decides FGL's images."""

    base: Base = Field(description="The diffusion model.")
    sampler: Sampler = Field(description="How images are drawn, with and without adapters.")
    prompts: Prompts = Field(description="FGL's images.")


class ExaminationSettings(Strict):
    """What decides the look at images and adapters."""

    base: Base = Field(description="The diffusion model.")
    prompt: Template = Field(description="Caption of a class while tuning, and its prompt.")
    examine: Examine = Field(description="How images and adapters are looked at afterwards.")


class WarmFed(Block, AdapterSettings, SamplingSettings, PromptSettings, ExaminationSettings):
    """Synthetic images for WarmFed and FGL, and the model that is trained on them."""

    subset: float = Field(
        gt=0,
        le=1,
        description="Share of the synthetic images that rounds use, per client and class.",
    )
    warm_start: WarmStart = Field(description="The first global model.")

    def problems(self, place: Place) -> Iterator[str]:
        where = f"{place.where}.warmfed"
        if place.experiment.rows:
            training = self.warm_start
            yield from alone(f"{where}.warm_start.batch_size", place.experiment.model, training)
        yield from missing_targets(f"{where}.lora.targets", self.lora, Path(self.base.source))

    def models(self) -> dict[str, str]:
        return {"base.source": self.base.source}
