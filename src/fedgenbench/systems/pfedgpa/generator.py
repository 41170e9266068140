"""The server's model of client weights: what it learns from uploads and what it makes of them.

Normaliser, autoencoder and denoiser as one object whose whole state is tensors by name, so that a
federation can carry it from round to round and a file can hold it.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import torch_seed
from fedgenbench.federated.types import State
from fedgenbench.systems.pfedgpa.autoencoders import AUTOENCODERS
from fedgenbench.systems.pfedgpa.buffer import ReplayBuffer, draw
from fedgenbench.systems.pfedgpa.diffusion import T, Training, ddpm_loss, grid, schedule
from fedgenbench.systems.pfedgpa.inversion import invert
from fedgenbench.systems.pfedgpa.networks import ConvUNet, ResidualMLP, build
from fedgenbench.systems.pfedgpa.settings import GeneratorSettings
from fedgenbench.systems.pfedgpa.vectors import Layout, Normaliser

DENOISERS: dict[str, type[nn.Module]] = {"mlp": ResidualMLP, "unet": ConvUNet}
HELD_OUT_TIMES = 40
LOSS_ROWS = 64  # scored at once: the U-Net takes megabytes for each


class Generator:
    """Learns the density of uploads and generates vectors [K, D] in their place.

    The frame (centre, scales) is fixed at the first fit; the autoencoder and the denoiser go on
    learning at every later one. Random draws are addressed by ``seed``, the number of the fit and
    the client.
    """

    def __init__(
        self, layout: Layout, settings: GeneratorSettings, seed: int, device: str | torch.device
    ):
        self.layout, self.settings, self.seed, self.device = layout, settings, seed, device
        self.fits = 0
        self.normaliser: Normaliser  # from the first fit on
        self.scale = torch.ones((), device=device)
        self.autoencoder = AUTOENCODERS[settings.autoencoder](
            layout.width, settings, torch_seed(seed, "generator", "autoencoder"), device
        )
        denoiser = build(
            DENOISERS[settings.denoiser],
            self.autoencoder.latent,
            torch_seed(seed, "generator", "denoiser"),
        )
        self.denoiser = Training(denoiser.to(device))

    # Learning -------------------------------------------------------------------------------
    def fit(self, buffer: ReplayBuffer) -> float:
        """Learns from the stored uploads; returns the denoiser's mean loss over its last steps.

        The first fit has steps of its own, and fixes centre and scales.

        Raises:
            UserError: too few uploads for the autoencoder.
        """
        first, settings = self.fits == 0, self.settings
        vectors = buffer.vectors
        if first:
            self.normaliser = Normaliser.fit(self.layout, vectors)
        generator = torch.Generator().manual_seed(
            torch_seed(self.seed, "generator", "fit", self.fits)
        )
        later = not first
        self.autoencoder.fit(self.normaliser, vectors, settings.autoencoder_steps[later], generator)
        codes = self.autoencoder.encode(self.normaliser, vectors)
        if first:
            rms = codes.square().mean().sqrt()
            # Uploads without any difference have nothing to scale.
            self.scale = torch.where(rms > 0, rms, torch.ones_like(rms))
        codes = codes / self.scale
        losses = []
        for _ in range(settings.denoiser_steps[later]):
            batch = draw(codes, settings.batch_size, generator)
            loss = partial(ddpm_loss, clean=batch, scheduler=schedule(), generator=generator)
            losses.append(self.denoiser.step(loss))
        self.fits += 1
        tail = losses[-20:]
        return float(torch.stack(tail).mean()) if tail else 0.0

    # Generating -----------------------------------------------------------------------------
    def encode(self, vectors: Tensor) -> Tensor:
        """Weights [K, D] to codes [K, L] of about unit variance."""
        return self.autoencoder.encode(self.normaliser, vectors) / self.scale

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [K, L] to weights [K, D]."""
        return self.autoencoder.decode(self.normaliser, codes * self.scale)

    def rebuild(self, vectors: Tensor) -> Tensor:
        """Weights [K, D] through the autoencoder alone."""
        return self.decode(self.encode(vectors))

    def epsilon(self, x: Tensor, t: Tensor) -> Tensor:
        """The denoiser's averaged weights at codes ``x`` [K, L] and times ``t`` [K]."""
        return self.denoiser.average(x, t)

    def generate(self, codes: Tensor, clients: list[int]) -> Tensor:
        """Codes [K, L] in place of the clients' own: the inversion that the settings name.

        Raises:
            UserError: a client's code is not finite, as when the denoiser diverged.
        """
        settings, draws = self.settings, self.draws("invert", clients)
        steps = grid(settings.inversion_steps, settings.start)
        made = invert(settings.rule, codes, self.epsilon, steps, settings.eta, draws)
        finite = made.isfinite().all(1)
        if not finite.all():
            client = clients[int(finite.logical_not().nonzero()[0])]
            raise UserError(
                f"the weights generated for client {client} are not finite: the denoiser has "
                "diverged. Give it more denoiser_steps or a larger buffer, or start lower."
            )
        return made

    def draws(self, purpose: str, clients: list[int]) -> list[torch.Generator]:
        """A generator per client, the same until the next fit."""
        address = self.seed, "generator", purpose, self.fits
        return [torch.Generator().manual_seed(torch_seed(*address, client)) for client in clients]

    # Looking at itself ----------------------------------------------------------------------
    @torch.no_grad()
    def loss(self, vectors: Tensor) -> float:
        """Mean denoising loss of weights [K, D] over evenly spaced times, with fixed noise."""
        times = torch.arange(T // HELD_OUT_TIMES // 2, T, T // HELD_OUT_TIMES)
        codes = self.encode(vectors)
        rows = codes.repeat_interleave(len(times), 0)
        t = times.repeat(len(codes)).to(rows.device)
        generator = torch.Generator().manual_seed(torch_seed(self.seed, "generator", "loss"))
        noise = torch.randn(rows.shape, generator=generator).to(rows)
        seen = schedule().add_noise(rows, noise, t)
        parts = zip(seen.split(LOSS_ROWS), t.split(LOSS_ROWS), noise.split(LOSS_ROWS), strict=True)
        total = sum((self.epsilon(x, at) - eps).square().sum().double() for x, at, eps in parts)
        return float(total / noise.numel())

    def held_out(self, buffer: ReplayBuffer, client: int) -> dict[str, float]:
        """What a twin that never saw ``client`` makes of it: is anything learnt but the uploads?

        ``held_out_loss`` and ``seen_loss`` are denoising losses on that client's newest upload and on
        those of the clients it learnt from; ``held_out_error`` is the share ‖x − x̂‖/‖x‖ of the
        client's deviation from the centre that the twin's autoencoder loses.
        """
        others = buffer.without(client)
        twin = Generator(self.layout, self.settings, self.seed, self.device)
        twin.fit(others)
        # The newest upload of each, for all have been seen alike.
        newest, owners = buffer.latest()
        own, seen = newest[owners.index(client)][None], others.latest()[0]
        rebuilt = twin.rebuild(own)
        deviation = (own - twin.normaliser.centre).norm()
        return {
            "held_out_loss": twin.loss(own),
            "seen_loss": twin.loss(seen),
            "held_out_error": float((own - rebuilt).norm() / deviation.clamp_min(1e-30)),
        }

    # State ------------------------------------------------------------------------------------
    def state(self) -> State:
        """Tensors that say it all, ready for a safetensors file."""
        parts = {
            "normaliser": self.normaliser.state(),
            "autoencoder": self.autoencoder.state(),
            "denoiser": self.denoiser.state(),
        }
        tensors = {f"{part}/{name}": t for part, s in parts.items() for name, t in s.items()}
        return tensors | {"scale": self.scale, "fits": torch.tensor(self.fits)}

    @classmethod
    def load(
        cls, layout: Layout, settings: GeneratorSettings, seed: int, state: State
    ) -> Generator:
        """The generator that gave ``state``; the settings must agree in what shapes the networks."""
        generator = cls(layout, settings, seed, state["scale"].device)
        parts: dict[str, State] = {"normaliser": {}, "autoencoder": {}, "denoiser": {}}
        for key, tensor in state.items():
            part, _, name = key.partition("/")
            if name:
                parts[part][name] = tensor
        generator.scale, generator.fits = state["scale"], int(state["fits"])
        generator.normaliser = Normaliser(layout, **parts["normaliser"])
        generator.autoencoder.load(parts["autoencoder"])
        generator.denoiser.load(parts["denoiser"])
        return generator
