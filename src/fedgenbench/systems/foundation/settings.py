"""Settings of the foundation model: the block ``foundation`` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fedgenbench.core.settings import AdamWSettings, Seed, Strict

Channels = Annotated[int, Field(ge=8, multiple_of=8)]


EDGE = 32  # pixels of the images


class Training(AdamWSettings):
    """AdamW, and the moving average of the weights that is kept.

    The rate is reached linearly in the first 100 steps; a checkpoint has its validation loss.
    """

    ema: float = Field(ge=0, lt=1, description="Decay of the weights' moving average per step.")


class Vae(Strict):
    """The autoencoder between images and latents; each level but the last halves the edge."""

    channels: list[Channels] = Field(min_length=1, description="Per level, finest first.")
    latent_channels: int = Field(ge=1, description="Numbers per place of the latent grid.")
    kl_weight: float = Field(
        ge=0, description="Of the mean KL per latent number, against the mean absolute pixel error."
    )
    training: Training = Field(description="On the public training images.")


class Text(Strict):
    """The tokenizer and the CLIP text encoder, which learns together with the U-Net."""

    merges: int = Field(ge=1, description="Byte pairs that the tokenizer joins, at most.")
    length: int = Field(ge=4, description="Tokens of a prompt, the two special ones included.")
    width: Channels = Field(description="Numbers per token, seen by the U-Net's cross-attention.")
    layers: int = Field(ge=1, description="Transformer layers.")
    heads: int = Field(ge=1, description="Attention heads; divides the width.")

    @model_validator(mode="after")
    def _whole_heads(self) -> Self:
        require_whole_heads(self.heads, self.width)
        return self


def require_whole_heads(heads: int, *widths: int) -> None:
    for width in widths:
        if width % heads:
            raise ValueError(f"heads {heads} do not divide the width {width}: choose a divisor")


class UNet(Strict):
    """The denoiser on latents, with cross-attention at every level."""

    channels: list[Channels] = Field(min_length=1, description="Per level, finest first.")
    heads: int = Field(ge=1, description="Attention heads; divides every level's channels.")
    prediction: Literal["epsilon", "v_prediction"] = Field(
        description="What the network tells of a noisy latent: its noise, or the velocity."
    )
    caption_dropout: float = Field(
        ge=0, lt=1, description="Share of empty captions, for classifier-free guidance."
    )
    variants: int = Field(
        ge=1, description="Flipped and shifted versions of an image whose latents are kept."
    )
    training: Training = Field(description="On latents of the public training images.")

    @model_validator(mode="after")
    def _whole_heads(self) -> Self:
        require_whole_heads(self.heads, *self.channels)
        return self


class Sampler(Strict):
    """How images are drawn where a method does not say otherwise."""

    steps: int = Field(ge=1, le=1000, description="Denoising steps.")
    guidance: float = Field(ge=1, description="Weight of classifier-free guidance; 1 is none.")


class Evidence(Strict):
    """What the evaluation of the trained model draws and trains."""

    per_class: int = Field(ge=2, description="Generated images per class.")
    epochs: int = Field(ge=1, description="Passes of each classifier over its training images.")


class Shares(Strict):
    """How often a training step takes a drawing of each kind; what a kind lacks goes to the others."""

    emoji: float = Field(ge=0, description="Colour emoji.")
    colour: float = Field(ge=0, description="Colour icons.")
    line: float = Field(ge=0, description="Icons of lines.")
    solid: float = Field(ge=0, description="Icons of one filled shape.")
    sketch: float = Field(ge=0, description="QuickDraw's sketches.")
    classless: float = Field(
        ge=0, lt=1, description="Share of drawings without a class, of whatever kind."
    )


class PoolJob(Strict):
    """What decides the pool, beside data and code."""

    subjects: Literal["open", "strict"] = Field(
        description="All subjects, or none that is on a test picture, in the public sets."
    )


class VaeJob(PoolJob):
    """What decides the autoencoder, beside data and code."""

    seed: Seed = Field(description="Root of the foundation model's random streams.")
    shares: Shares = Field(description="Of the kinds of drawings.")
    vae: Vae = Field(description="Between images and latents.")


class UNetJob(VaeJob):
    """What decides the whole model."""

    text: Text = Field(description="Tokenizer and text encoder.")
    unet: UNet = Field(description="The denoiser.")

    @model_validator(mode="after")
    def _halves(self) -> Self:
        levels = len(self.vae.channels) + len(self.unet.channels) - 2
        if EDGE % 2**levels:
            raise ValueError(
                f"vae.channels and unet.channels halve an edge of {EDGE} pixels {levels} times: "
                "name fewer levels"
            )
        return self


class Foundation(UNetJob):
    """The miniature Stable Diffusion of the embedded scale, and what is said of it."""

    sampler: Sampler = Field(description="How images are drawn.")
    evidence: Evidence = Field(description="How the trained model is judged.")
