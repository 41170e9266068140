"""The server's networks over client vectors; a client is a row (papers/pfedgpa.md §4.2, §8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from fedgenbench.core.errors import UserError

# The autoencoder of early p-diff, "medium" (papers/pfedgpa.md §4.2).
FOLD = 5
KERNEL = 5
ENCODER = (4, 4, 4, 4)
DECODER_ENDS = 4, 8
CHANNELS = 256  # of its widest layers
INPUT_NOISE = 0.001
LATENT_NOISE = 0.1

UNET = (1, 64, 128, 256, 512, 256, 128, 64, 1)
HIDDEN, FEW = 512, 256  # half of the units, where a code is shorter than that
DEPTH = 3
FREQUENCIES = 128
TIME = 256
EMA = 0.999  # papers/pfedgpa.md §8, row 15

Network = TypeVar("Network", bound=nn.Module)


def build(kind: Callable[[int], Network], width: int, seed: int) -> Network:
    """``kind(width)`` on the CPU, initialised from ``seed`` alone as torch's layers are by default.

    Weights and biases are uniform in ±1/√fan-in; norms start at scale 1 and shift 0.
    """
    with torch.device("meta"):  # draws nothing from the default generator
        network = kind(width)
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        tensors = dict(module.named_parameters(recurse=False))
        if not tensors:
            continue
        if tensors["weight"].ndim == 1:  # a norm
            nn.init.ones_(tensors["weight"])
            nn.init.zeros_(tensors["bias"])
            continue
        bound = tensors["weight"][0].numel() ** -0.5
        for tensor in tensors.values():
            nn.init.uniform_(tensor, -bound, bound, generator=generator)
    return network


class Autoencoder(nn.Module):
    """Vectors [K, D] to latents [K, L] in (-1, 1) and back: four blocks each way, each ×5 in length.

    The vector is a signal of one channel, padded with zeros to a multiple of 5⁴; the latent is 4
    channels of ⌈D/625⌉ places, 752 numbers for 117,066 weights. A block convolves, normalises each
    client by itself (instance norm) and changes the length by a strided convolution. The two middle
    layers of the decoder have ``channels`` channels.

    Raises:
        UserError: D is at most 625, for which instance norm has a single place left.
    """

    def __init__(self, width: int, channels: int = CHANNELS):
        super().__init__()
        fold = FOLD ** len(ENCODER)
        if width <= fold:
            raise UserError(
                f"the autoencoder needs more than {fold} weights per client, here are {width}: "
                "generate such a vector directly, without autoencoder."
            )
        self.width = width
        self.padding = -width % fold
        self.latent = ENCODER[-1] * (width + self.padding) // fold
        self.down = _blocks((1, *ENCODER), nn.Conv1d)
        first, last = DECODER_ENDS
        decoder = (ENCODER[-1], first, channels, channels, last)
        self.up = _blocks(decoder, nn.ConvTranspose1d)
        self.out = nn.Conv1d(last, 1, KERNEL, padding=KERNEL // 2)

    def encode(self, x: Tensor) -> Tensor:
        signal = F.pad(x, (0, self.padding))[:, None]
        return torch.tanh(self.down(signal)).flatten(1)

    def decode(self, latent: Tensor) -> Tensor:
        signal = self.up(latent.unflatten(1, (ENCODER[-1], -1)))
        return self.out(F.leaky_relu(signal))[:, 0, : self.width]

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Mean squared error of reconstruction, with noise mixed into input and latent.

        p-diff also clamps its noisy input to [-1, 1]; a z-scored weight may be larger, so only the
        latent is clamped.
        """
        latent = mix(self.encode(mix(x, INPUT_NOISE, generator)), LATENT_NOISE, generator)
        return F.mse_loss(self.decode(latent.clamp(-1, 1)), x)


def mix(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """``share`` of Gaussian noise and the rest of ``x``."""
    noise = torch.randn(x.shape, generator=generator).to(x)
    return torch.lerp(x, noise, share)


class ConvUNet(nn.Module):
    """Noise of latents [K, L] at times [K]: convolutions at full length, with additive skips.

    Channels 64-128-256-512 and back, two convolutions of kernel 3 per block. Each sample's own time
    is embedded and mapped to one number per place, added to all channels before each block: as in
    p-diff, whose time table has a column per place, this is what tells a convolution where it is.
    """

    def __init__(self, width: int):
        super().__init__()
        self.time = TimeEmbedding()
        ends = list(pairwise(UNET))
        self.places = nn.ModuleList(nn.Linear(TIME, width) for _ in ends)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(a, a, 3, padding=1), nn.LeakyReLU(), nn.Conv1d(a, b, 3, padding=1)
            )
            for a, b in ends
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, b) for _, b in ends[:-1])

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        time, signal, skips = self.time(t), x[:, None], []
        deepest = len(self.norms) // 2
        layers = zip(self.places[:-1], self.blocks[:-1], self.norms, strict=True)
        for depth, (place, block, norm) in enumerate(layers):
            signal = F.silu(norm(block(signal + place(time)[:, None])))
            if depth < deepest:
                skips.append(signal)
            elif depth > deepest:
                signal = signal + skips.pop()
        return self.blocks[-1](signal + self.places[-1](time)[:, None])[:, 0]


class ResidualMLP(nn.Module):
    """Noise of head vectors [K, D] at times [K]: three residual layers of 512 units, 256 below D = 256.

    A gate, one number per place and time, lets the input through: noise has full rank, which 512
    units cannot carry. For independent Gaussian coordinates the gate alone is the exact answer.
    """

    def __init__(self, width: int):
        super().__init__()
        units = FEW if width < FEW else HIDDEN
        self.time = TimeEmbedding()
        self.enter = nn.Linear(width, units)
        self.norms = nn.ModuleList(nn.LayerNorm(units) for _ in range(DEPTH))
        self.times = nn.ModuleList(nn.Linear(TIME, units) for _ in range(DEPTH))
        self.layers = nn.ModuleList(nn.Linear(units, units) for _ in range(DEPTH))
        self.leave = nn.Linear(units, width)
        self.gate = nn.Linear(TIME, width)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        time = self.time(t)
        hidden = self.enter(x)
        for norm, shift, layer in zip(self.norms, self.times, self.layers, strict=True):
            hidden = hidden + layer(F.silu(norm(hidden) + shift(time)))
        return self.gate(time) * x + self.leave(F.silu(hidden))


class TimeEmbedding(nn.Module):
    """Times [K] (0 to 999) to [K, 256]: sinusoids, then a two-layer perceptron."""

    def __init__(self):
        super().__init__()
        self.waves = Timesteps(FREQUENCIES, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.perceptron = TimestepEmbedding(FREQUENCIES, TIME)

    def forward(self, t: Tensor) -> Tensor:
        return F.silu(self.perceptron(self.waves(t)))


def averaged(network: nn.Module) -> AveragedModel:
    """The exponential moving average of a network's weights.

    The decay rises to 0.999 as (1 + n) / (10 + n) over the updates n; without this, 37% of the first
    weights would still be there after 1,000 steps.
    """

    def update(averages: Sequence[Tensor], currents: Sequence[Tensor], count: Tensor | int) -> None:
        decay = min(EMA, (1 + int(count)) / (10 + int(count)))
        for average, current in zip(averages, currents, strict=True):
            average.lerp_(current, 1 - decay)

    return AveragedModel(network, multi_avg_fn=update).requires_grad_(False)


def _blocks(channels: tuple[int, ...], resample: type[nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(channels):
        layers += [
            nn.Conv1d(a, b, KERNEL, padding=KERNEL // 2),
            nn.InstanceNorm1d(b, affine=True),
            nn.LeakyReLU(),
            resample(b, b, FOLD, stride=FOLD),
            nn.LeakyReLU(),
        ]
    return nn.Sequential(*layers[:-1])
