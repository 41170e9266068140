"""The long programs of a diffusion model, to be counted or timed: any size, arbitrary weights.

Guidance is the very code that jobs run (``Guided``), and so are the adapter's layers; what a job does
around a step, such as prompts' embeddings and an adapter's optimiser, is small beside it and left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedgenbench.core.tracing import Program, Step, Work
from fedgenbench.images.adapters import PRECISIONS, low_rank
from fedgenbench.images.guidance import Guided, Order, _by_client
from fedgenbench.images.guidance_settings import Guidance
from fedgenbench.images.published import sizes
from fedgenbench.images.settings import Base, Sampler
from fedgenbench.images.uploads import Upload
from fedgenbench.models import build

TIME = 500  # any of the thousand
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@dataclass(frozen=True)
class DiffusionProgram(Program):
    """With the model ``source`` (a folder or a hub id) in ``precision``, for images of ``resolution``."""

    source: str
    precision: str
    resolution: int

    @property
    def model(self) -> str:
        return f"{self.source.split('/')[-1]}, {self.resolution} px, {self.precision}"

    def unet(self, device: str) -> Any:
        from diffusers import UNet2DConditionModel

        return self._built(UNet2DConditionModel, sizes(self.source).unet, device)

    def vae(self, device: str) -> Any:
        from diffusers import AutoencoderKL

        return self._built(AutoencoderKL, sizes(self.source).vae, device)

    def _built(self, kind: Any, config: dict[str, Any], device: str) -> Any:
        with torch.random.fork_rng(devices=[]), torch.device(device):
            network = kind.from_config(config)
        # The network's own method warns of layers in fp32, of which there are none.
        nn.Module.to(network, PRECISIONS[self.precision])
        return network.requires_grad_(False).eval()

    def latents(self, unet: Any, count: int) -> Tensor:
        edge = self.resolution // 2 ** (len(sizes(self.source).vae["block_out_channels"]) - 1)
        shape = (count, unet.config.in_channels, edge, edge)
        return torch.full(shape, 0.5, dtype=unet.dtype, device=unet.device)

    def text(self, unet: Any, count: int) -> Tensor:
        shape = (count, sizes(self.source).tokens, unet.config.cross_attention_dim)
        return torch.full(shape, 0.5, dtype=unet.dtype, device=unet.device)


@dataclass(frozen=True)
class AdapterStep(DiffusionProgram):
    """A step of tuning: the U-Net forward and back, with matrices of ``rank`` beside ``targets``.

    The matrices are fp32. On the meta device there is no autocast, so what enters them is kept in
    fp32 too: ``peak`` is a little above that of a GPU.
    """

    rank: int
    targets: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"adapter step, {self.model}"

    @contextlib.contextmanager
    def running(self, device: str) -> Iterator[tuple[Step, list[nn.Module]]]:
        unet = self.unet(device)
        latents, text = self.latents(unet, self.batch), self.text(unet, self.batch)
        times = torch.full((self.batch,), TIME, device=device)
        mixed = unet.dtype != torch.float32 and device != "meta"
        with low_rank(unet, self.rank, self.rank, self.targets, torch.float32) as parameters:
            with torch.no_grad():
                for parameter in parameters.values():
                    parameter.fill_(0.01)

            def step() -> None:
                with torch.autocast(device if mixed else "cpu", unet.dtype, enabled=mixed):
                    noise = unet(latents, times, encoder_hidden_states=text).sample
                F.mse_loss(noise.float(), torch.zeros_like(noise, dtype=torch.float32)).backward()

            yield step, [unet]


@dataclass(frozen=True)
class DenoisingStep(DiffusionProgram):
    """A step of sampling: the U-Net forward, twice with classifier-free guidance (``passes`` 2)."""

    passes: int = 2

    @property
    def title(self) -> str:
        return f"sampling step, {self.model}"

    @contextlib.contextmanager
    def running(self, device: str) -> Iterator[tuple[Step, list[nn.Module]]]:
        unet, count = self.unet(device), self.passes * self.batch
        latents, text = self.latents(unet, count), self.text(unet, count)
        times = torch.full((count,), TIME, device=device)
        options = {}
        if width := unet.config.projection_class_embeddings_input_dim:  # unCLIP's image embedding
            options["class_labels"] = torch.full(
                (count, width), 0.5, dtype=unet.dtype, device=device
            )

        @torch.no_grad()
        def step() -> None:
            unet(latents, times, encoder_hidden_states=text, **options)

        yield step, [unet]


@dataclass(frozen=True)
class Decoding(DiffusionProgram):
    """Latents to images by the autoencoder, which every image goes through once."""

    @property
    def title(self) -> str:
        return f"decoding, {self.model}"

    @contextlib.contextmanager
    def running(self, device: str) -> Iterator[tuple[Step, list[nn.Module]]]:
        unet, vae = self.unet(device), self.vae(device)
        latents = self.latents(unet, self.batch)

        @torch.no_grad()
        def step() -> None:
            vae.decode(latents)

        yield step, [unet, vae]


def model_of(base: Base) -> tuple[str, str, int]:
    """What a ``DiffusionProgram`` takes of it."""
    return base.source, base.precision, base.resolution


def denoising(base: Base, sampler: Sampler, images: float) -> Work:
    """All steps of sampling of so many images."""
    passes = 1 if sampler.guidance == 1 else 2
    step = DenoisingStep(sampler.batch, *model_of(base), passes=passes)
    return Work(step, images * sampler.steps)


def decoding(base: Base, sampler: Sampler, images: float) -> Work:
    return Work(Decoding(sampler.batch, *model_of(base)), images)


def drawing(base: Base, sampler: Sampler, images: float) -> Iterator[Work]:
    """Plain sampling of so many images."""
    yield denoising(base, sampler, images)
    yield decoding(base, sampler, images)


@dataclass(frozen=True)
class GuidedStep(DiffusionProgram):
    """A gradient of guidance: U-Net, autoencoder and a classifier forward, and all the way back.

    ``classifier`` sees ``edge`` pixels; ``scale`` is the weight of classifier-free guidance.
    """

    classifier: str
    edge: int
    checkpointing: bool
    scale: float = 3.0

    @property
    def title(self) -> str:
        how = ", checkpointing" if self.checkpointing else ""
        return f"guided gradient, {self.model}, {self.classifier}{how}"

    @contextlib.contextmanager
    def running(self, device: str) -> Iterator[tuple[Step, list[nn.Module]]]:
        from diffusers import DDPMScheduler

        unet, vae = self.unet(device), self.vae(device)
        with torch.device(device):
            classifier = build(self.classifier, (3, self.edge, self.edge), 10, 0)
        pipeline = SimpleNamespace(unet=unet, vae=vae, scheduler=DDPMScheduler(**SCHEDULE))
        guided = Guided(pipeline, self._settings(), 50, self.scale)
        guided.scheduler.set_timesteps(50)
        guided.context = self.text(unet, self.batch * (1 if self.scale == 1 else 2))
        upload = _Unchecked(0, classifier, (0,), 10, (0.5,) * 3, (0.5,) * 3, self.edge)
        upload.frozen(device)
        orders = [Order(0, 0, guided.context[0], 0, upload)] * self.batch
        parts = _by_client(orders, device)
        latents, time = self.latents(unet, self.batch), guided.scheduler.timesteps[0]
        yield (
            lambda: guided._gradient(latents, time, parts, 1.0, 1.0),
            [unet, vae, classifier],
        )

    def _settings(self) -> Guidance:
        return Guidance(
            form="noise",
            editing_steps=0,
            editing_loss="both",
            editing_step=1.0,
            guide=True,
            cross_entropy=1.0,
            batch_norm=1.0,
            strength=1.0,
            scheduler="ddpm",
            checkpointing=self.checkpointing,
            skipped_share=0.0,
        )


class _Unchecked(Upload):
    """A classifier without numbers that one could check."""

    def __post_init__(self) -> None:
        pass
