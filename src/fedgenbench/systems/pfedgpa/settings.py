"""Settings of the server's model of client weights; imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from fedgenbench.core.settings import Distinct
from fedgenbench.federated.method import MethodSettings

STEPS_OF_T = 1000  # length of the diffusion chain; inversion steps must divide it

RuleName = Literal[
    "dpm_encoder", "edit_friendly", "ddim", "sdedit", "autoencoder_only", "latent_mean"
]
Count = Annotated[int, Field(ge=0)]


class GeneratorSettings(MethodSettings):
    """What the server learns from uploads, and how it generates (papers/pfedgpa.md §8)."""

    layers: Annotated[list[str], Distinct] = Field(
        description="Generated layers, e.g. [head]; empty is the whole model."
    )
    buffer: int = Field(
        ge=1, description="Last uploads of each client that the server learns from."
    )
    autoencoder: Literal["none", "linear", "conv"] = Field(
        description="none: weights are diffused directly; linear: principal components of the "
        "uploads; conv: the 1-D convolutional network of p-diff."
    )
    components: int = Field(ge=1, description="Latent numbers of the linear autoencoder.")
    autoencoder_channels: int = Field(
        ge=1, description="Channels of the widest layers of the conv autoencoder; p-diff: 256."
    )
    autoencoder_steps: tuple[Count, Count] = Field(
        strict=False, description="Training steps of the conv autoencoder: first fit, later rounds."
    )
    reconstruction: float = Field(
        ge=0,
        le=1,
        description="Gate: the share of its accuracy on training images that a client's model must "
        "keep, on average, through the autoencoder; below it the run stops.",
    )
    denoiser: Literal["mlp", "unet"] = Field(
        description="Residual MLP, or 1-D convolutional U-Net."
    )
    denoiser_steps: tuple[Count, Count] = Field(
        strict=False, description="Training steps of the denoiser: first fit, later rounds."
    )
    batch_size: int = Field(ge=1, description="Uploads, drawn with replacement, per server step.")
    rule: RuleName = Field(description="Inversion in place of Eq. (15).")
    eta: float = Field(ge=0, description="Scale of the solved noises; 1 is the identity.")
    inversion_steps: int = Field(ge=1, description="Strided steps of the whole chain of 1,000.")
    start: int = Field(ge=1, le=STEPS_OF_T, description="Step that inversion starts from.")

    @field_validator("inversion_steps")
    @classmethod
    def _divides(cls, value: int) -> int:
        if STEPS_OF_T % value:
            raise ValueError(f"{value} does not divide the {STEPS_OF_T} steps")
        return value
