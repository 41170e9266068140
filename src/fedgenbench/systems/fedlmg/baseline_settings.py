"""Settings of the one-shot baselines beside FedLMG (its sheet's §6). Loads nothing heavy."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fedgenbench.core.settings import Strict
from fedgenbench.images.settings import Base, filled_by


class FGL(Strict):
    """Clients send captions of their images, the server draws from these (sheet §6)."""

    captioner: str = Field(
        min_length=1,
        description="`names`: the data set's own names of its drawings; else a captioning model, a "
        "folder or hub id.",
    )
    prompt: Annotated[str, filled_by("label", "caption")] = Field(
        pattern=r"\{label\}.*\{caption\}",
        description="A caption's prompt, with {label} and then {caption}.",
    )
    negative: str = Field(description="The negative prompt.")


class FedDEO(Strict):
    """Clients learn a description, a text embedding, of each class and send these (sheet §6)."""

    epochs: int = Field(ge=1, description="Passes over a class's images, one image a step.")
    lr: float = Field(gt=0, description="Learning rate of SGD.")
    guidance: float = Field(ge=0, description="Weight of the description beside the prompt's.")


class FedDISC(Strict):
    """Clients send centroids of their images' features, from which an unCLIP model draws (sheet §6)."""

    base: Base = Field(description="The unCLIP model.")
    centroids: int = Field(ge=1, description="Centroids per client and class, at most.")
    client_noise_level: int = Field(
        ge=0,
        le=999,
        description="Noise that a client puts on each feature before it clusters them, as a time of "
        "the model's schedule for features.",
    )
    noise_level: int = Field(
        ge=0, le=999, description="Noise on a centroid when an image is drawn, as such a time."
    )


class Dense(Strict):
    """A generator is trained against the ensemble of the clients' classifiers (sheet §6)."""

    epochs: int = Field(ge=1, description="Turns: a batch from a new generator, a pass over all.")
    batch_size: int = Field(ge=2, description="Images per turn; all stay in the pool.")
    noise: int = Field(ge=1, description="Numbers that the generator starts from.")
    width: int = Field(ge=1, description="Channels of the generator's last hidden layer.")
    generator_steps: int = Field(ge=1, description="Steps of the generator per turn.")
    generator_lr: float = Field(gt=0, description="Adam's learning rate of the generator.")
    cross_entropy: float = Field(ge=0, description="Weight of the loss on the drawn labels.")
    batch_norm: float = Field(ge=0, description="Weight of the batch-norm statistics' loss.")
    boundary: float = Field(
        ge=0, description="Weight of the divergence where ensemble and server disagree."
    )
    temperature: float = Field(gt=0, description="Temperature of the distillation.")


class Rivals(Strict):
    """Other one-shot methods; null leaves one out."""

    dense: Dense | None = Field(description="A generator learns from the uploaded classifiers.")
    fgl: FGL | None = Field(description="Images from captions.")
    feddisc: FedDISC | None = Field(description="Images from features.")
    feddeo: FedDEO | None = Field(description="Images from descriptions.")


# Those that draw images with a diffusion model; each has a module of its name.
DRAWING: dict[str, type[Strict]] = {"fgl": FGL, "feddisc": FedDISC, "feddeo": FedDEO}
