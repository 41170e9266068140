"""Settings of a diffusion model and of what is done with it. Loads nothing heavy."""

from __future__ import annotations

from string import Formatter
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from fedgenbench.core.settings import AdamWSettings, Distinct, Strict


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


class Lora(AdamWSettings):
    """A client's adapter: low-rank matrices beside the U-Net's frozen ones, trained with AdamW."""

    rank: int = Field(ge=1, description="Rank r of each pair of matrices.")
    alpha: float = Field(gt=0, description="The product is scaled by alpha / rank.")
    targets: Annotated[list[str], Distinct] = Field(
        min_length=1, description="Names of the U-Net's linear layers."
    )
    weight_decay: float = Field(ge=0, description="AdamW's.")
    clip: float = Field(gt=0, description="Greatest norm of a step's gradient.")


class Sampler(Strict):
    """How images are drawn."""

    steps: int = Field(ge=1, le=1000, description="Denoising steps.")
    guidance: float = Field(ge=1, description="Weight of classifier-free guidance; 1 is none.")
    batch: int = Field(ge=1, description="Images drawn at a time; fewer where memory ends.")
