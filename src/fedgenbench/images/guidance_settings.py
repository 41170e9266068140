"""Settings of classifier guidance. Loads nothing heavy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedgenbench.core.settings import Strict


class Guidance(Strict):
    """How a classifier bends the sampling (sheet §3 steps 6 to 8)."""

    editing_steps: int = Field(ge=0, description="M: steps of the initial noise.")
    editing_loss: Literal["both", "batch_norm"] = Field(
        description="What they lower: both losses, as the figure has it, or the batch-norm loss "
        "alone, as the released code (§8)."
    )
    guide: bool = Field(description="A step before each denoising step.")
    cross_entropy: float = Field(ge=0, description="Weight of the classifier's cross-entropy.")
    batch_norm: float = Field(ge=0, description="λ, the weight of the batch-norm loss.")
    step: float = Field(gt=0, description="Size of a step down the raw gradient.")
    scheduler: Literal["ddpm", "pipeline"] = Field(
        description="Ancestral sampling as the authors, or the base model's own sampler."
    )
    checkpointing: bool = Field(
        description="Activations are computed again for the gradient: less memory, more time."
    )
    skipped_share: float = Field(
        ge=0, le=1, description="Share of gradients that may be left out as not finite, per client."
    )
