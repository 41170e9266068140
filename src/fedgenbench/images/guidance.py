"""Sampling under a client's classifier: its loss, and its batch-norm statistics (FedLMG sheet §3)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedgenbench.core.errors import UserError
from fedgenbench.core.wording import counted
from fedgenbench.images.adapters import embedded
from fedgenbench.images.guidance_settings import Guidance
from fedgenbench.images.schedules import ancestral, predicted, require_unit_variance, step
from fedgenbench.models.layers import BatchNorm

BATCH_NORMS = (nn.BatchNorm2d, BatchNorm)


@dataclass(frozen=True)
class Upload:
    """What a client sends: a classifier in eval mode, and how its images are normalised.

    ``mean`` and ``std`` have one number per channel, ``edge`` is the side in pixels of the images
    that it was trained on; ``classes`` are the labels that the client holds.

    Raises:
        UserError: the head has not ``outputs`` classes, or a batch-norm buffer is not finite, or has
            a variance of zero, which no image can match.
    """

    client: int
    model: nn.Module
    classes: tuple[int, ...]
    outputs: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    edge: int

    def __post_init__(self) -> None:
        whose = f"the upload of client {self.client}"
        if (found := cast(Any, self.model.head).out_features) != self.outputs:
            raise UserError(
                f"{whose}: its head has {found} classes, {self.outputs} are claimed; train the "
                "client on this data set"
            )
        for name, layer in self.model.named_modules():
            if not isinstance(layer, BATCH_NORMS):
                continue
            for which in ("running_mean", "running_var"):
                if not getattr(layer, which).isfinite().all():
                    raise UserError(
                        f"{whose}: {name}.{which} is not finite; its training has diverged: lower "
                        "fedlmg.clients.lr"
                    )
            if not (cast(Any, layer.running_var) > 0).all():
                raise UserError(
                    f"{whose}: {name}.running_var has a channel of zero variance, which nothing "
                    "that the client saw moves; train it longer or at a lower fedlmg.clients.lr"
                )

    def frozen(self, device: Any) -> Upload:
        """Itself, with the model on ``device``, in fp32 and eval mode, nothing trainable."""
        self.model.to(device, torch.float32).eval().requires_grad_(False)
        return self

    def losses(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy [B] and batch-norm loss [B] of images [B, 3, H, W] between 0 and 1."""
        mean, std = (
            torch.tensor(values, device=images.device)[:, None, None]
            for values in (self.mean, self.std)
        )
        x = images.float()
        if x.shape[-1] != self.edge:
            # As the clients of the authors' code see their images: bicubic, without antialiasing.
            x = F.interpolate(x, (self.edge, self.edge), mode="bicubic")
        if len(self.mean) == 1:
            x = (x * x.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
        with batch_norm_inputs(self.model) as seen:
            logits = self.model((x - mean) / std)[0]
        return F.cross_entropy(logits, labels, reduction="none"), batch_norm_loss(seen, len(x))


@contextlib.contextmanager
def batch_norm_inputs(model: nn.Module) -> Iterator[list[tuple[nn.Module, Tensor]]]:
    """Gathers every batch-norm layer of ``model`` with its input, in the order of their calls."""
    seen: list[tuple[nn.Module, Tensor]] = []
    hooks = [
        layer.register_forward_pre_hook(lambda own, inputs: seen.append((own, inputs[0])))
        for layer in model.modules()
        if isinstance(layer, BATCH_NORMS)
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def batch_norm_loss(seen: Sequence[tuple[Any, Tensor]], count: int) -> Tensor:
    """Σ over layers of ‖σ² − σ̂²‖₂ + ‖μ − μ̂‖₂, per image [count] (sheet §3 step 5).

    Statistics are those of each image alone, over its positions, with the biased variance: the
    authors' batch is one image, and what else is in a batch must not matter. Zero for a network
    without batch norm.
    """
    total = torch.zeros(count)
    for layer, x in seen:
        mean, var = x.mean((2, 3)), x.var((2, 3), correction=0)
        total = total.to(x.device) + (
            torch.linalg.vector_norm(var - layer.running_var, dim=1)
            + torch.linalg.vector_norm(mean - layer.running_mean, dim=1)
        )
    return total


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


class Guided:
    """Draws images under guidance. U-Net, VAE and classifiers are frozen, whatever they were.

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
        if settings.guide or settings.editing_steps:
            require_unit_variance(self.scheduler)
        for part in (pipeline.unet, pipeline.vae):
            part.requires_grad_(False)
            if settings.checkpointing:
                part.enable_gradient_checkpointing()

    def draw(self, orders: Sequence[Order], resolution: int) -> tuple[Tensor, Trace]:
        """Images uint8 [n, H, W, 3] of ``orders``, and the trace of their guidance.

        An image's noise comes from its own seed alone. Without editing and with a step of zero these
        are the images that the pipeline itself draws, to the bit.
        """
        unet, vae, trace = self.pipeline.unet, self.pipeline.vae, Trace()
        generators = [torch.Generator().manual_seed(order.seed) for order in orders]
        edge = resolution // self.pipeline.vae_scale_factor
        shape = (1, unet.config.in_channels, edge, edge)
        s = torch.cat([torch.randn(shape, generator=g, dtype=unet.dtype) for g in generators])
        s = s.to(unet.device) * self.scheduler.init_noise_sigma
        self.context = self._context(orders)
        self.scheduler.set_timesteps(self.steps, device=unet.device)
        times = self.scheduler.timesteps
        chosen = self.settings
        editing = (1.0 if chosen.editing_loss == "both" else 0.0) * chosen.cross_entropy
        promised = []  # at the first time, before each gradient
        for _ in range(chosen.editing_steps):
            s, promise = self._moved(s, times[0], orders, editing, trace)
            promised.append(promise)
        for t in times:
            if chosen.guide and (chosen.cross_entropy or chosen.batch_norm):
                s, promise = self._moved(s, t, orders, chosen.cross_entropy, trace)
                promised += [promise] if t == times[0] else []
            with torch.no_grad():
                noise = self._prediction(s, t)
                s = step(self.scheduler, noise, t, s, generators)
        with torch.no_grad():
            decoded = vae.decode(s / vae.config.scaling_factor).sample
        if not decoded.isfinite().all():
            clients = sorted({order.client for order in orders})
            raise UserError(
                f"{counted(len(clients), 'client')} ({', '.join(map(str, clients))}): a guided image "
                "is not finite; lower "
                "fedlmg.guidance.step, or set fedlmg.base.precision to bf16 or fp32"
            )
        if chosen.editing_steps and len(promised) > chosen.editing_steps:
            trace.promised = [_pixels(promised[0]), _pixels(promised[-1])]
        return _pixels((decoded / 2 + 0.5).clamp(0, 1)), trace

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
        found = self.pipeline.unet(both, t, encoder_hidden_states=self.context).sample
        if len(found) == len(s):
            return found
        empty, own, *described = found.chunk(len(found) // len(s))
        found = empty + self.scale * (own - empty)
        return found + self.described * (described[0] - empty) if described else found

    def clean(self, s: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """The image [n, 3, H, W] between 0 and 1 that a latent promises at time t (step 3)."""
        level = self.scheduler.alphas_cumprod[t].to(s.device, torch.float32)
        s, prediction = s.float(), prediction.float()
        if self.kind == "epsilon":
            latent = (s - (1 - level).sqrt() * prediction) / level.sqrt()
        else:
            latent = level.sqrt() * s - (1 - level).sqrt() * prediction
        vae = self.pipeline.vae
        decoded = vae.decode((latent / vae.config.scaling_factor).to(vae.dtype)).sample
        return (decoded / 2 + 0.5).clamp(0, 1)

    def _moved(
        self, s: Tensor, t: Tensor, orders: Sequence[Order], weight: float, trace: Trace
    ) -> tuple[Tensor, Tensor]:
        """``s`` after one step down the gradient of CE · ``weight`` + λ · BN (steps 6 to 8a), and
        the images that it promised before."""
        leaf = s.detach().requires_grad_()
        with torch.enable_grad():
            images = self.clean(leaf, self._prediction(leaf, t), t)
            losses, batch_norms = [], []
            rows: dict[int, list[int]] = {}
            for row, order in enumerate(orders):
                rows.setdefault(order.client, []).append(row)
            for held in rows.values():
                labels = torch.tensor([orders[row].label for row in held], device=s.device)
                upload = orders[held[0]].upload
                assert upload is not None  # there is no gradient without one
                entropy, batch_norm = upload.losses(images[held], labels)
                losses.append(entropy)
                batch_norms.append(batch_norm)
            entropy, batch_norm = torch.cat(losses), torch.cat(batch_norms)
            # A sum: each image has its own gradient, whatever the batch.
            total = (weight * entropy + self.settings.batch_norm * batch_norm).sum()
            (gradient,) = torch.autograd.grad(total, leaf)
        usable = gradient.flatten(1).isfinite().all(1)
        for client, held in rows.items():
            bad = len(held) - int(usable[held].sum())
            trace.skipped[client] = trace.skipped.get(client, 0) + bad
            trace.steps[client] = trace.steps.get(client, 0) + len(held)
        trace.cross_entropy.append(entropy.mean().item())
        trace.batch_norm.append(batch_norm.mean().item())
        gradient = torch.where(usable[:, None, None, None], gradient, 0.0)
        return s - self.settings.step * gradient, images.detach()


def _pixels(images: Tensor) -> Tensor:
    """uint8 [n, H, W, 3] of images [n, 3, H, W] between 0 and 1."""
    images = images.permute(0, 2, 3, 1).float().cpu()
    # In rows: safetensors writes a transposed view as it lies.
    return (images * 255).round().to(torch.uint8).contiguous()
