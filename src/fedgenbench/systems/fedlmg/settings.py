"""Settings of FedLMG's jobs. Loads nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from fedgenbench.core.settings import SGDSettings, Strict
from fedgenbench.images.guidance_settings import Guidance
from fedgenbench.images.settings import Base, Sampler, Template
from fedgenbench.models.registry import MODELS

if TYPE_CHECKING:
    ModelName = str
else:  # a literal is spelt out where it is checked by type
    ModelName = Literal[tuple(MODELS)]

WAYS = ("fedlmg_ft", "fedlmg_md", "fedlmg_sd")
# On fewer images, or on those of a variation: the paper's ablations have the first, its models the other.
VARIED = ("fedlmg_ft", "fedlmg_sd")
# Rows that each client's test images judge without its own upload.
UNSEEN = ("unseen_ensemble", "unseen_sd")


class Clients(SGDSettings):
    """Training of the clients' classifiers on cross-entropy, nothing else (sheet §4)."""

    models: list[ModelName] = Field(
        min_length=1, description="Architectures: client i takes the i-th, counted round and round."
    )


class Server(SGDSettings):
    """Training of the server's model; the ceiling is trained alike on the clients' images."""

    model: ModelName = Field(description="Architecture.")
    trains: Literal["whole", "head"] = Field(
        description="All of it, or the linear head alone, as the released code (§8)."
    )


class GuidedImagesSettings(Strict):
    """What decides the guided images, beside the uploads."""

    base: Base = Field(description="The diffusion model.")
    prompt: Template = Field(description="A class's prompt; it names no domain.")
    sampler: Sampler = Field(description="Steps, text guidance, and images at a time.")
    guidance: Guidance = Field(description="How a classifier bends the sampling.")
    per_class: int = Field(ge=1, description="Images per client and class.")
    total_per_class: int | None = Field(
        default=None,
        ge=1,
        description="In place of `per_class`: images of a class in all, dealt out to the clients that "
        "hold it, so that more clients are no more images.",
    )


class Editing(Strict):
    """What is tried before M and η are set: neither is published (sheet §1.0)."""

    steps: list[Annotated[int, Field(ge=1)]] = Field(
        min_length=1, description="Numbers of editing steps, M."
    )
    sizes: list[Annotated[float, Field(gt=0)]] = Field(
        min_length=1, description="Sizes of such a step, η."
    )
    per_class: int = Field(ge=1, description="Images per client and class in each trial.")


class MultiRound(Strict):
    """FedAvg, FedProx, FedDyn and FedDF, which train in rounds (sheet §1.0).

    Their clients train as those of the one shot do, but for the epochs; what else a method sets, its
    entry of `methods` says.
    """

    rounds: int = Field(ge=1, description="Rounds.")
    epochs: int = Field(ge=1, description="Passes of a client over its images, in a round.")
    public: str = Field(
        min_length=1,
        description="FedDF's public images: a folder of pictures, or one picture whose squares, each as "
        "wide as it is, stand below each other. The paper's are ImageNet's.",
    )
    public_images: int = Field(ge=2, description="How many of them, the first ones by name.")
    distillation_epochs: int = Field(ge=1, description="FedDF's passes over them, in a round.")
