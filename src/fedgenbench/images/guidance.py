"""Sampling under a client's classifier: its loss and batch-norm statistics (FedLMG sheet §1.0, §3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fedgenbench.core.errors import UserError
from fedgenbench.core.wording import counted
from fedgenbench.images.adapters import embedded
from fedgenbench.images.guidance_settings import Guidance
from fedgenbench.images.schedules import (
    ancestral,
    predicted,
    require_noise,
    require_unit_variance,
    step,
)
from fedgenbench.images.uploads import Upload


@dataclass(frozen=True)
class Order:
    """One image to draw: for which client, of which class, under which embedding [L, D].

    ``upload`` is the classifier that guides it; ``description`` [L, D] is what FedDEO puts beside
    the prompt.
    """

    client: int
    label: int
    embedding: Tensor
    seed: int
    upload: Upload | None = None
    description: Tensor | None = None


@dataclass
class Trace:
    """What guidance saw, one entry per gradient: mean losses over images; and steps left out.

    ``promised``: the images uint8 [n, H, W, 3] that the initial noise promises, before its editing
    and after it; empty where it is not edited.
    """

    cross_entropy: list[float] = field(default_factory=list)
    batch_norm: list[float] = field(default_factory=list)
    promised: list[Tensor] = field(default_factory=list)
    # by client: gradients that were not finite, and all
    skipped: dict[int, int] = field(default_factory=dict)
    steps: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Guided:
    """The images of a batch that one classifier guides: their rows [m] and labels [m]."""

    upload: Upload
    rows: Tensor
    labels: Tensor


@dataclass(frozen=True)
class _Gradient:
    """Of a step: the U-Net's output, the loss's gradient to the latents, and what was seen of it.

    ``prediction`` and ``value`` [n, C, h, w], ``promised`` [n, 3, H, W], ``usable`` [n]; the mean
    losses are numbers on the device, for none is asked before all steps are done.
    """

    prediction: Tensor
    value: Tensor
    promised: Tensor
    usable: Tensor
    cross_entropy: Tensor
    batch_norm: Tensor


class Guided:
    """Draws images under guidance. U-Net, VAE and classifiers are frozen, whatever they were.

    Equation 10 of the paper corrects the predicted noise, ε̂ + √(1 − ᾱ_t) ∇(CE + λ BN), with one pass
    of the U-Net a step; the authors' released code moves the latent down that gradient and asks the
    U-Net again. ``settings.form`` is "noise" or "latent". (The equation prints a minus: of a loss
    that is to fall, the noise has to take up the gradient.)

    A batch may hold images of several clients, whatever their architectures: the U-Net and the VAE
    see all of them at once, each classifier those that it guides. ``scale`` is the weight of
    classifier-free guidance, away from the prompt ``negative``; with ``described`` an order's
    description pulls too, by that weight (FedDEO, sheet §6).
    """

    def __init__(
        self,
        pipeline: Any,
        settings: Guidance,
        steps: int,
        scale: float,
        *,
        negative: str = "",
        described: float = 0.0,
    ):
        self.pipeline, self.settings, self.steps, self.scale = pipeline, settings, steps, scale
        self.negative, self.described = negative, described
        self.scheduler = pipeline.scheduler
        if settings.scheduler == "ddpm":
            self.scheduler = ancestral(pipeline)
        self.kind = predicted(self.scheduler, "fedlmg.base", "guidance needs")
        if settings.guides or settings.editing_steps:
            require_unit_variance(self.scheduler)
        if settings.guides and settings.form == "noise":
            require_noise(self.scheduler)
        for part in (pipeline.unet, pipeline.vae):
            # A quarter of a gradient's time on a CPU core, and the layout of a GPU's half precision.
            part.requires_grad_(False).to(memory_format=torch.channels_last)
            if settings.checkpointing:
                part.enable_gradient_checkpointing()

    def draw(self, orders: Sequence[Order], resolution: int) -> tuple[Tensor, Trace]:
        """Images uint8 [n, H, W, 3] of ``orders``, and the trace of their guidance.

        An image's noise comes from its own seed alone. Without editing and without guidance these
        are the images that the pipeline itself draws, to the bit. Nothing here waits for the
        device before the last step, but where a sampler draws noise on the CPU.
        """
        unet, vae, chosen = self.pipeline.unet, self.pipeline.vae, self.settings
        generators = [torch.Generator().manual_seed(order.seed) for order in orders]
        edge = resolution // self.pipeline.vae_scale_factor
        shape = (1, unet.config.in_channels, edge, edge)
        s = torch.cat([torch.randn(shape, generator=g, dtype=unet.dtype) for g in generators])
        s = s.to(unet.device) * self.scheduler.init_noise_sigma
        self.context = self._context(orders)
        self.scheduler.set_timesteps(self.steps)  # its tables stay on the CPU, where they are read
        times = self.scheduler.timesteps
        guided = _by_client(orders, unet.device)
        gradients = []
        for _ in range(chosen.editing_steps):
            gradients.append(self._gradient(s, times[0], guided, *chosen.editing_weights))
            s = s - chosen.editing_step * gradients[-1].value
        for t in times:
            if chosen.guides:
                found = self._gradient(s, t, guided, chosen.cross_entropy, chosen.batch_norm)
                gradients.append(found)
            with torch.no_grad():
                if not chosen.guides:
                    noise = self._prediction(s, t)
                elif chosen.form == "noise":
                    noise = self._corrected(found, t)
                else:
                    s = s - chosen.strength * found.value
                    noise = self._prediction(s, t)
                s = step(self.scheduler, noise, t, s, generators)
        with torch.no_grad():
            decoded = vae.decode(s / vae.config.scaling_factor).sample
        if not decoded.isfinite().all():
            clients = sorted({order.client for order in orders})
            raise UserError(
                f"{counted(len(clients), 'client')} ({', '.join(map(str, clients))}): a guided image "
                "is not finite; lower fedlmg.guidance.strength or fedlmg.guidance.editing_step, or "
                "set fedlmg.base.precision to bf16 or fp32"
            )
        return _pixels((decoded / 2 + 0.5).clamp(0, 1)), self._trace(gradients, orders)

    def _context(self, orders: Sequence[Order]) -> Tensor:
        """Embeddings [kn, L, D] of k kinds: the prompts alone where the scale asks for no
        classifier-free guidance, else the negative prompt, the prompts, and descriptions if any."""
        unet = self.pipeline.unet
        own = torch.stack([order.embedding for order in orders]).to(unet.device, unet.dtype)
        if self.scale == 1 and not self.described:
            return own
        empty = embedded(self.pipeline, [self.negative]).to(own).expand(len(orders), -1, -1)
        if not self.described:
            return torch.cat([empty, own])
        descriptions = [o.description for o in orders if o.description is not None]
        return torch.cat([empty, own, torch.stack(descriptions).to(own)])

    def _prediction(self, s: Tensor, t: Tensor) -> Tensor:
        """The U-Net's output [n, C, h, w] under text guidance (sheet §3 step 2)."""
        both = torch.cat([s] * (len(self.context) // len(s)))
        both = self.scheduler.scale_model_input(both, t)
        time = t.to(s.device, non_blocking=True)
        found = self.pipeline.unet(both, time, encoder_hidden_states=self.context).sample
        if len(found) == len(s):
            return found
        empty, own, *described = found.chunk(len(found) // len(s))
        found = empty + self.scale * (own - empty)
        return found + self.described * (described[0] - empty) if described else found

    def clean(self, s: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """The image [n, 3, H, W] between 0 and 1 that a latent promises at time t (step 3)."""
        level = self.scheduler.alphas_cumprod[t].float()
        s, prediction = s.float(), prediction.float()
        if self.kind == "epsilon":
            latent = (s - (1 - level).sqrt() * prediction) / level.sqrt()
        else:
            latent = level.sqrt() * s - (1 - level).sqrt() * prediction
        vae = self.pipeline.vae
        decoded = vae.decode((latent / vae.config.scaling_factor).to(vae.dtype)).sample
        return (decoded / 2 + 0.5).clamp(0, 1)

    def _gradient(
        self,
        s: Tensor,
        t: Tensor,
        guided: Sequence[_Guided],
        cross_entropy: float,
        batch_norm: float,
    ) -> _Gradient:
        """The gradient of CE and BN of these weights to ``s``; one pass of the U-Net, and its way
        back. Zero for images whose gradient is not finite."""
        leaf = s.detach().requires_grad_()
        with torch.enable_grad():
            prediction = self._prediction(leaf, t)
            images = self.clean(leaf, prediction, t)
            losses = [part.upload.losses(images[part.rows], part.labels) for part in guided]
            entropy, distance = (torch.cat(parts) for parts in zip(*losses, strict=True))
            # A sum: each image has its own gradient, whatever the batch.
            total = (cross_entropy * entropy + batch_norm * distance).sum()
            (value,) = torch.autograd.grad(total, leaf)
        usable = value.flatten(1).isfinite().all(1)
        return _Gradient(
            prediction=prediction.detach(),
            value=torch.where(usable[:, None, None, None], value, 0.0),
            promised=images.detach(),
            usable=usable,
            cross_entropy=entropy.detach().mean(),
            batch_norm=distance.detach().mean(),
        )

    def _corrected(self, found: _Gradient, t: Tensor) -> Tensor:
        """The U-Net's output with the noise that Eq. 10 adds to what it predicts.

        Of a velocity v = √ᾱ ε − √(1 − ᾱ) x₀ that is the same noise over √ᾱ: at a given latent, more
        noise is a fainter image.
        """
        level = self.scheduler.alphas_cumprod[t].float()
        weight = self.settings.strength * (1 - level).sqrt()
        if self.kind == "v_prediction":
            weight = weight / level.sqrt()
        return found.prediction + (weight * found.value.float()).to(found.prediction.dtype)

    def _trace(self, gradients: Sequence[_Gradient], orders: Sequence[Order]) -> Trace:
        """What the gradients saw; the first thing that waits for the device."""
        if not gradients:
            return Trace()
        entropy, distance = (
            torch.stack([getattr(each, name) for each in gradients]).tolist()
            for name in ("cross_entropy", "batch_norm")
        )
        bad = (len(gradients) - torch.stack([each.usable for each in gradients]).sum(0)).tolist()
        trace = Trace(entropy, distance)
        for order, count in zip(orders, bad, strict=True):
            trace.skipped[order.client] = trace.skipped.get(order.client, 0) + count
            trace.steps[order.client] = trace.steps.get(order.client, 0) + len(gradients)
        if 0 < (edited := self.settings.editing_steps) < len(gradients):
            trace.promised = [_pixels(gradients[number].promised) for number in (0, edited)]
        return trace


def _by_client(orders: Sequence[Order], device: Any) -> list[_Guided]:
    """The images of each classifier, in the order of their clients; none where nobody guides."""
    rows: dict[int, list[int]] = {}
    for row, order in enumerate(orders):
        if order.upload is not None:
            rows.setdefault(order.client, []).append(row)
    guided = []
    for held in rows.values():
        upload = orders[held[0]].upload
        assert upload is not None
        labels = torch.tensor([orders[row].label for row in held], device=device)
        guided.append(_Guided(upload, torch.tensor(held, device=device), labels))
    return guided


def _pixels(images: Tensor) -> Tensor:
    """uint8 [n, H, W, 3] of images [n, 3, H, W] between 0 and 1."""
    images = images.permute(0, 2, 3, 1).float().cpu()
    # In rows: safetensors writes a transposed view as it lies.
    return (images * 255).round().to(torch.uint8).contiguous()
