"""Settings of FedLMG: the block `fedlmg` of an experiment. Loads nothing heavy."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from fedgenbench.core.settings import Distinct, PlainName, Strict
from fedgenbench.images.guidance_settings import Guidance
from fedgenbench.systems.fedlmg.baseline_settings import DRAWING, Rivals
from fedgenbench.systems.fedlmg.settings import Clients, GuidedImagesSettings, Server


class FedLMG(GuidedImagesSettings):
    """One shot: classifiers go up, images are drawn under their guidance, one model is trained."""

    clients: Clients = Field(description="Training of the clients' classifiers.")
    server: Server = Field(description="Training of the server's model.")
    sizes: Annotated[list[Annotated[int, Field(ge=1)]], Distinct] = Field(
        description="Numbers of images per client and class for the curve, besides all of them."
    )
    ablations: dict[PlainName, dict[str, float | int | bool | str] | None] | None = Field(
        description="Rows of the ablation table: a name, and what it changes in `guidance`; null "
        "leaves one out, or all."
    )
    ablation_per_class: int = Field(
        ge=1,
        description="Images per client and class of an ablation, which is compared with the first so "
        "many guided images: one of `sizes`, or `per_class`.",
    )
    imagenet: str | None = Field(
        description="Folder of torchvision's ImageNet weights, one `<architecture>.pth` or "
        "`.safetensors` each, from which clients and server start; null: from named random weights."
    )
    baselines: bool = Field(
        description="The ceiling and the rows that need no guided image; those that average weights "
        "only where clients and server have one architecture."
    )
    rivals: Rivals | None = Field(
        description="Other one-shot methods on the same protocol; needs `baselines`."
    )

    @property
    def averages(self) -> bool:
        """Do the clients' weights have a mean?"""
        return self.baselines and {*self.clients.models} == {self.server.model}

    @property
    def changes(self) -> dict[str, dict[str, Any]]:
        """The ablations that are not left out."""
        return {name: each for name, each in (self.ablations or {}).items() if each is not None}

    @property
    def drawing_rivals(self) -> dict[str, Strict]:
        """The rivals that draw images, in the order of the tables."""
        found = {name: getattr(self.rivals, name) for name in DRAWING} if self.rivals else {}
        return {name: own for name, own in found.items() if own}

    def guidance_of(self, row: str) -> Guidance:
        """The guidance of ``main``, of ``prompts``, which has none, or of an ablation."""
        changes = {"main": {}, "prompts": {"editing_steps": 0, "guide": False}}
        changes |= self.changes
        return Guidance.model_validate(self.guidance.model_dump() | changes[row])
