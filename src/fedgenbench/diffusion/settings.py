"""Settings of adapters and synthesis: the block `synthesis` of an experiment. Loads nothing heavy."""

from __future__ import annotations

from string import Formatter
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from fedgenbench.plan.fields import Distinct


def filled_by(*names: str) -> AfterValidator:
    """A validator of prompts whose placeholders are these, each without a format of its own."""
    known = " and ".join(f"{{{name}}}" for name in names)

    def check(template: str) -> str:
        try:
            fields = [part[1:] for part in Formatter().parse(template) if part[1] is not None]
        except ValueError as error:
            raise PydanticCustomError("template", f"{error}; write a brace itself twice") from None
        for field, form, conversion in fields:
            if field not in names or form or conversion:
                raise PydanticCustomError(
                    "template",
                    f"nothing fills {{{field}}} as it stands here, only {known}; write a brace itself "
                    "twice",
                )
        if missing := [name for name in names if name not in [field for field, *_ in fields]]:
            raise PydanticCustomError("template", f"{{{missing[0]}}} has to stand in it")
        return template

    return AfterValidator(check)


Template = Annotated[str, Field(pattern=r"\{label\}"), filled_by("label")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Base(Strict):
    """The diffusion model that everybody has."""

    source: str = Field(
        min_length=1, description="A folder in diffusers' layout, or a hub id; never trained."
    )
    precision: Literal["fp32", "fp16", "bf16"] = Field(
        description="Of the frozen weights; what is trained is fp32."
    )
    resolution: int = Field(
        ge=8,
        multiple_of=8,
        description="Edge in pixels of the images that it draws and that adapters learn from.",
    )


class Lora(Strict):
    """A client's adapter: low-rank matrices beside the U-Net's frozen ones, trained with AdamW."""

    rank: int = Field(ge=1, description="Rank r of each pair of matrices.")
    alpha: float = Field(gt=0, description="The product is scaled by alpha / rank.")
    targets: Annotated[list[str], Distinct] = Field(
        min_length=1, description="Names of the U-Net's linear layers."
    )
    steps: int = Field(ge=1, description="Optimiser steps.")
    batch_size: int = Field(ge=1, description="Images in a step; a client with fewer takes all.")
    lr: float = Field(gt=0, description="Learning rate, constant.")
    weight_decay: float = Field(ge=0, description="AdamW's.")
    clip: float = Field(gt=0, description="Greatest norm of a step's gradient.")
    save_every: int = Field(ge=1, description="Steps between checkpoints.")


class Sampler(Strict):
    """How images are drawn."""

    steps: int = Field(ge=1, le=1000, description="Denoising steps.")
    guidance: float = Field(ge=1, description="Weight of classifier-free guidance; 1 is none.")
    batch: int = Field(ge=1, description="Images drawn at a time; fewer where memory ends.")


class Prompts(Strict):
    """FGL's images: prompts alone, no adapter."""

    templates: list[Template] = Field(
        min_length=1, description="One per style, each with {label}; equal ones are allowed."
    )
    per_class: int = Field(ge=1, description="Images per template and class.")


class WarmStart(Strict):
    """Training of the first global model, from scratch, on synthetic images alone; SGD."""

    epochs: int = Field(ge=1, description="Passes over the synthetic images.")
    batch_size: int = Field(ge=1, description="Images in a step.")
    lr: float = Field(gt=0, description="Learning rate.")
    momentum: float = Field(ge=0, lt=1, description="Momentum.")
    weight_decay: float = Field(ge=0, description="L2 penalty on all trained tensors.")


class Examine(Strict):
    """What the look at the images, and the attack on the adapters, draw and compare."""

    members: int = Field(
        ge=2, description="Images of each kind per client in the membership attack, at most."
    )
    draws: int = Field(ge=1, description="Noises and times per image in that attack.")
    shown: int = Field(ge=1, description="Images per client and kind in the embedding.")


class Tuning(Strict):
    """What decides an adapter, beside data and code."""

    base: Base = Field(description="The diffusion model.")
    prompt: Template = Field(description="Caption of a class while tuning, and its prompt.")
    lora: Lora = Field(description="One adapter per client.")


class Drawing(Strict):
    """What decides the images of an adapter."""

    base: Base = Field(description="The diffusion model.")
    sampler: Sampler = Field(description="How images are drawn, with and without adapters.")
    per_class: int = Field(ge=1, description="Images per client and class.")


class Prompting(Strict):
    """What decides FGL's images."""

    base: Base = Field(description="The diffusion model.")
    sampler: Sampler = Field(description="How images are drawn, with and without adapters.")
    prompts: Prompts = Field(description="FGL's images.")


class Looking(Strict):
    """What decides the look at images and adapters."""

    base: Base = Field(description="The diffusion model.")
    prompt: Template = Field(description="Caption of a class while tuning, and its prompt.")
    examine: Examine = Field(description="How images and adapters are looked at afterwards.")


class Synthesis(Tuning, Drawing, Prompting, Looking):
    """Synthetic images for WarmFed and FGL, and the model that is trained on them."""

    subset: float = Field(
        gt=0,
        le=1,
        description="Share of the synthetic images that rounds use, per client and class.",
    )
    warm_start: WarmStart = Field(description="The first global model.")
