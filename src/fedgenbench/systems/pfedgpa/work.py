"""What pFedGPA's jobs do: rounds, and a generator that is fitted to vectors of weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from fedgenbench.core.tracing import Program, Step, Work
from fedgenbench.data.sources import image_shape
from fedgenbench.models import build as classifier
from fedgenbench.systems.pfedgpa.generator import DENOISERS
from fedgenbench.systems.pfedgpa.networks import Autoencoder
from fedgenbench.systems.pfedgpa.vectors import Layout
from fedgenbench.systems.work import classes, rounds

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid
    from fedgenbench.plan.jobs import Job


@dataclass(frozen=True)
class GeneratorStep(Program):
    """A step of a network that gives back vectors of ``width`` numbers."""

    width: int

    def network(self) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
        """The network, and what it is given beside the vectors."""
        raise NotImplementedError

    @contextlib.contextmanager
    def running(self, device: str) -> Iterator[tuple[Step, list[nn.Module]]]:
        with torch.random.fork_rng(devices=[]), torch.device(device):
            network, beside = self.network()
            vectors = torch.full((self.batch, self.width), 0.5)

        def step() -> None:
            network.zero_grad()
            nn.functional.mse_loss(network(vectors, *beside), vectors).backward()

        yield step, [network]


@dataclass(frozen=True)
class AutoencoderStep(GeneratorStep):
    """Of p-diff's autoencoder on vectors of weights."""

    channels: int

    @property
    def title(self) -> str:
        return f"autoencoder step, {self.width:,} weights, {self.channels} channels"

    def network(self) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
        return Autoencoder(self.width, self.channels), ()


@dataclass(frozen=True)
class DenoiserStep(GeneratorStep):
    """Of the denoiser ``kind`` on codes."""

    kind: str

    @property
    def title(self) -> str:
        return f"denoiser step, {self.kind}, {self.width:,} numbers"

    def network(self) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
        return DENOISERS[self.kind](self.width), (torch.full((self.batch,), 500),)


def fit(job: Job, grid: Grid) -> Iterator[Work]:
    """The first fit of a generator."""
    settings = job.settings["method_settings"]
    width, batch = _width(job, tuple(settings["layers"])), settings["batch_size"]
    if settings["autoencoder"] == "conv":
        step = AutoencoderStep(batch, width, settings["autoencoder_channels"])
        yield Work(step, batch * settings["autoencoder_steps"][0])
        with torch.device("meta"):
            width = Autoencoder(step.width, step.channels).latent
    elif settings["autoencoder"] == "linear":
        width = settings["components"]
    denoiser = DenoiserStep(batch, width, settings["denoiser"])
    yield Work(denoiser, batch * settings["denoiser_steps"][0])


def _width(job: Job, layers: tuple[str, ...]) -> int:
    """Weights of the clients' model that are generated."""
    channels, edge = image_shape(job.data.dataset)
    with torch.device("meta"):
        model = classifier(job.settings["model"], (channels, edge, edge), classes(job), 0)
    return Layout.of(model.state_dict(), layers).width


KINDS = {"uploads": rounds, "newcomers": rounds, "fit": fit}
