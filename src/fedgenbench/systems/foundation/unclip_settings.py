"""Settings of the miniature unCLIP: the block `unclip` of params.yaml. Loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from fedgenbench.core.digest import digest
from fedgenbench.core.settings import Seed, Strict
from fedgenbench.images.folder import fingerprint
from fedgenbench.systems.foundation.settings import (
    EDGE,
    Channels,
    Training,
    require_whole_heads,
)


class Encoder(Strict):
    """The CLIP image encoder, a vision transformer on patches."""

    patch: int = Field(ge=1, description="Edge of a patch in pixels; divides the image's.")
    width: Channels = Field(description="Numbers per patch.")
    layers: int = Field(ge=1, description="Transformer layers.")
    heads: int = Field(ge=1, description="Attention heads; divides the width.")
    projection: int = Field(ge=2, multiple_of=2, description="Numbers of an image's embedding.")
    training: Training = Field(description="Contrastive, on the public training images.")

    @model_validator(mode="after")
    def _whole_patches(self) -> Self:
        require_whole_heads(self.heads, self.width)
        if EDGE % self.patch:
            raise ValueError(f"patch {self.patch} does not divide the {EDGE} pixels of an image")
        return self


class Conditioning(Strict):
    """The U-Net's new layers, which take the embedding; nearly all of the rest stays frozen."""

    dropout: float = Field(
        ge=0,
        lt=1,
        description="Share of steps with an empty caption and no embedding, for classifier-free "
        "guidance.",
    )
    variants: int = Field(
        ge=1, description="Flipped and shifted versions of an image whose latents are kept."
    )
    training: Training = Field(description="On latents of the public training images.")


class UnCLIP(Strict):
    """A foundation model that also takes an image's embedding, as Stable unCLIP does."""

    source: str = Field(min_length=1, description="Folder of the foundation model.")
    seed: Seed = Field(description="Root of the random streams.")
    encoder: Encoder = Field(description="Embeds images.")
    conditioning: Conditioning = Field(description="Draws from embeddings.")


@dataclass(frozen=True)
class UnCLIPPlan:
    """The one job, by the digest of all that decides it.

    ``pool`` is the digest of the foundation's pool; ``code`` has
    the digest of the job's code first, as ``grid.job_code`` gives it.
    """

    settings: UnCLIP
    pool: str
    code: list[str]

    @property
    def digest(self) -> str:
        made_of = [self.settings.model_dump(), self.pool, self.code[0]]
        return digest([*made_of, fingerprint(self.settings.source)])
