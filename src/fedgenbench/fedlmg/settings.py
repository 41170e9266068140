"""Settings of FedLMG: the block `fedlmg` of an experiment. Loads nothing heavy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedgenbench.diffusion.guidance_settings import Guidance
from fedgenbench.diffusion.settings import Base, Sampler, Strict, Template
from fedgenbench.models.registry import MODELS


class Clients(Strict):
    """Training of the clients' classifiers: SGD on cross-entropy, nothing else (sheet §4)."""

    models: list[Literal[tuple(MODELS)]] = Field(
        min_length=1, description="Architectures: client i takes the i-th, counted round and round."
    )
    epochs: int = Field(ge=1, description="Passes over a client's training images.")
    batch_size: int = Field(ge=1, description="Images in a step.")
    lr: float = Field(gt=0, description="Learning rate.")
    momentum: float = Field(ge=0, lt=1, description="Momentum.")
    weight_decay: float = Field(ge=0, description="L2 penalty on all trained tensors.")
    prox: float = Field(ge=0, description="FedProx's μ for that baseline; its one round is ours.")


class Server(Strict):
    """Training of the server's model; the ceiling is trained alike on the clients' images."""

    model: Literal[tuple(MODELS)] = Field(description="Architecture.")
    trains: Literal["whole", "head"] = Field(
        description="All of it, or the linear head alone, as the released code (§8)."
    )
    epochs: int = Field(ge=1, description="Passes over the synthetic images.")
    batch_size: int = Field(ge=1, description="Images in a step.")
    lr: float = Field(gt=0, description="Learning rate.")
    momentum: float = Field(ge=0, lt=1, description="Momentum.")
    weight_decay: float = Field(ge=0, description="L2 penalty on all trained tensors.")


class Drawn(Strict):
    """What decides the guided images, beside the uploads."""

    base: Base = Field(description="The diffusion model.")
    prompt: Template = Field(description="A class's prompt; it names no domain.")
    sampler: Sampler = Field(description="Steps, text guidance, and images at a time.")
    guidance: Guidance = Field(description="How a classifier bends the sampling.")
    per_class: int = Field(ge=1, description="Images per client and class.")


class FedLMG(Drawn):
    """One shot: classifiers go up, images are drawn under their guidance, one model is trained."""

    clients: Clients = Field(description="Training of the clients' classifiers.")
    server: Server = Field(description="Training of the server's model.")
    sizes: list[int] = Field(
        description="Numbers of images per client and class for the curve, besides all of them."
    )
    ablations: dict[str, dict[str, float | int | bool | str]] | None = Field(
        description="Rows of the ablation table: a name, and what it changes in `guidance`."
    )
    imagenet: str | None = Field(
        description="Folder of torchvision's ImageNet weights, one `<architecture>.pth` or "
        "`.safetensors` each, from which clients and server start; null: from named random weights."
    )
    baselines: bool = Field(
        description="The ceiling and the rows that need no guided image; those that average weights "
        "only where clients and server have one architecture."
    )

    @property
    def averages(self) -> bool:
        """Do the clients' weights have a mean?"""
        return self.baselines and {*self.clients.models} == {self.server.model}

    def guidance_of(self, row: str) -> Guidance:
        """The guidance of ``main``, of ``prompts``, which has none, or of an ablation."""
        changes = {"main": {}, "prompts": {"editing_steps": 0, "guide": False}}
        changes |= self.ablations or {}
        return Guidance.model_validate(self.guidance.model_dump() | changes[row])
