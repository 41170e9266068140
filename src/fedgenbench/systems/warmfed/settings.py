"""Settings of WarmFed: the block `warmfed` of an experiment. Loads nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from fedgenbench.core.settings import Distinct, SGDSettings, Strict
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


class Memorised(Strict):
    """An adapter that is tuned on a few images until it knows them: what the attack can find."""

    per_class: int = Field(ge=1, description="Images of each class that it is tuned on.")
    rank: int = Field(ge=1, description="Its rank.")
    steps: int = Field(ge=1, description="Steps, each on all of these.")
    lr: float = Field(gt=0, description="Learning rate.")
    drawn: int = Field(ge=1, description="Images of each class that it draws afterwards.")


class Trials(Strict):
    """Adapters of one client beside its usual one."""

    client: int = Field(ge=0, description="The client.")
    ranks: Annotated[list[Annotated[int, Field(ge=1)]], Distinct] = Field(
        description="Ranks beside that of `lora`, whose adapter is there."
    )
    memorised: Memorised = Field(description="One that knows its images by heart.")


class TrialSettings(Strict):
    """What decides these adapters and what is said of them."""

    base: Base = Field(description="The diffusion model.")
    prompt: Template = Field(description="Caption of a class while tuning, and its prompt.")
    lora: Lora = Field(description="One adapter per client.")
    sampler: Sampler = Field(description="How images are drawn, with and without adapters.")
    examine: Examine = Field(description="How images and adapters are looked at afterwards.")
    trials: Trials = Field(description="Adapters beside.")


class WarmFed(Block, AdapterSettings, SamplingSettings, PromptSettings, ExaminationSettings):
    """Synthetic images for WarmFed and FGL, and the model that is trained on them."""

    subset: float = Field(
        gt=0,
        le=1,
        description="Share of the synthetic images that rounds use, per client and class.",
    )
    warm_start: WarmStart = Field(description="The first global model.")
    trials: Trials | None = Field(
        description="Adapters of other ranks, and one that knows its images by heart, in the first "
        "repetition; null: none."
    )

    def problems(self, place: Place) -> Iterator[str]:
        where = f"{place.where}.warmfed"
        if place.experiment.rows:
            training = self.warm_start
            yield from alone(f"{where}.warm_start.batch_size", place.experiment.model, training)
        yield from missing_targets(f"{where}.lora.targets", self.lora, Path(self.base.source))

    def client_problems(self, place: Place) -> Iterator[str]:
        clients, _, _ = place.sizes
        if self.trials and self.trials.client >= clients:
            yield (
                f"{place.where}.warmfed.trials.client: {self.trials.client} is none of the {clients} "
                f"clients, which are counted from 0"
            )

    def models(self) -> dict[str, str]:
        return {"base.source": self.base.source}
