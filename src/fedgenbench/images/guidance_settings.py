"""Settings of classifier guidance. Loads nothing heavy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedgenbench.core.settings import Strict


class Guidance(Strict):
    """How a classifier bends the sampling (sheet §1.0, and §3 steps 6 to 8)."""

    form: Literal["noise", "latent"] = Field(
        description="noise: the predicted noise is corrected, as the paper's Eq. 10; latent: the "
        "latent is moved and the U-Net asked again, as the released code."
    )
    editing_steps: int = Field(ge=0, description="M: steps of the initial noise.")
    editing_loss: Literal["both", "batch_norm"] = Field(
        description="What they lower: the batch-norm loss alone, as Algorithm 1, or both losses with "
        "their weights, as the first version's figure (§8)."
    )
    editing_step: float = Field(gt=0, description="η: size of such a step down the raw gradient.")
    guide: bool = Field(description="Guidance in each denoising step.")
    cross_entropy: float = Field(ge=0, description="Weight of the classifier's cross-entropy.")
    batch_norm: float = Field(ge=0, description="λ, the weight of the batch-norm loss.")
    strength: float = Field(
        ge=0,
        description="Factor of the gradient in a denoising step: 1 is Eq. 10 as it is printed.",
    )
    scheduler: Literal["ddpm", "pipeline"] = Field(
        description="Ancestral sampling as the authors, or the base model's own sampler."
    )
    checkpointing: bool = Field(
        description="Activations are computed again for the gradient: less memory, more time."
    )
    skipped_share: float = Field(
        ge=0, le=1, description="Share of gradients that may be left out as not finite, per client."
    )

    @property
    def guides(self) -> bool:
        """Is there anything to correct in a denoising step?"""
        return self.guide and self.strength > 0 and (self.cross_entropy > 0 or self.batch_norm > 0)

    @property
    def editing_weights(self) -> tuple[float, float]:
        """Weights of cross-entropy and batch-norm loss in the editing of the noise."""
        return (
            (0.0, 1.0)
            if self.editing_loss == "batch_norm"
            else (
                self.cross_entropy,
                self.batch_norm,
            )
        )
