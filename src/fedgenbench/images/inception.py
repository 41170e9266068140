"""The Inception-v3 of December 2015, whose features FID and KID are defined by.

Heusel et al. (2017) took a TensorFlow graph that differs from torchvision's network of this name, in
its weights, in how it pools and in how it enlarges images. The weights are an optional download
(data/weights.yaml); they are read as plain numbers, and no code that came with them runs.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fedgenbench.core.errors import UserError
from fedgenbench.data.fetch import faulty_files
from fedgenbench.data.sources import missing

FEATURES = 2048
EDGE = 299  # pixels that the network sees
EPSILON = 0.001  # of its batch normalisation


class Branches(nn.ModuleList):
    """Gives one input to every branch and puts their channels side by side."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], 1)


def _conv(
    inputs: int, outputs: int, kernel: tuple[int, int] | int = 1, stride: int = 1, same: bool = True
) -> nn.Sequential:
    """``same``: the borders are padded, so that stride 1 keeps height and width."""
    padding = "same" if same else 0
    # Without first weights: they would be drawn from the global generator.
    layer = nn.utils.skip_init(nn.Conv2d, inputs, outputs, kernel, stride, padding)
    return nn.Sequential(layer, nn.ReLU())


def _reduce(inputs: int, outputs: int) -> nn.Sequential:
    return _conv(inputs, outputs, 3, 2, same=False)


def _average(inputs: int, outputs: int) -> nn.Sequential:
    # As in TensorFlow, a mean at the border is one over the pixels that exist.
    return nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), _conv(inputs, outputs))


def _block_a(inputs: int, pooled: int) -> Branches:
    return Branches(
        [
            _conv(inputs, 64),
            nn.Sequential(_conv(inputs, 48), _conv(48, 64, 5)),
            nn.Sequential(_conv(inputs, 64), _conv(64, 96, 3), _conv(96, 96, 3)),
            _average(inputs, pooled),
        ]
    )


def _block_c(inner: int) -> Branches:
    row, column = (1, 7), (7, 1)
    once = [_conv(inner, inner, row), _conv(inner, 192, column)]
    twice = [_conv(inner, inner, kernel) for kernel in (column, row, column)]
    return Branches(
        [
            _conv(768, 192),
            nn.Sequential(_conv(768, inner), *once),
            nn.Sequential(_conv(768, inner), *twice, _conv(inner, 192, row)),
            _average(768, 192),
        ]
    )


def _block_e(inputs: int, pool: nn.Sequential) -> Branches:
    def split() -> Branches:
        return Branches([_conv(384, 384, (1, 3)), _conv(384, 384, (3, 1))])

    return Branches(
        [
            _conv(inputs, 320),
            nn.Sequential(_conv(inputs, 384), split()),
            nn.Sequential(_conv(inputs, 448), _conv(448, 384, 3), split()),
            pool,
        ]
    )


def network() -> nn.Sequential:
    """The graph up to its last pooling, not yet with its weights: [N, 3, 299, 299] to [N, 2048].

    Its 94 convolutions stand in the order in which the published file keeps them. Their batch
    normalisation, which has no scale, is part of them.
    """
    seven = nn.Sequential(
        _conv(768, 192), _conv(192, 192, (1, 7)), _conv(192, 192, (7, 1)), _reduce(192, 192)
    )
    three = nn.Sequential(_conv(288, 64), _conv(64, 96, 3), _reduce(96, 96))
    layers = nn.Sequential(
        *(_reduce(3, 32), _conv(32, 32, 3, same=False), _conv(32, 64, 3), nn.MaxPool2d(3, 2)),
        *(_conv(64, 80), _conv(80, 192, 3, same=False), nn.MaxPool2d(3, 2)),
        *(_block_a(192, 32), _block_a(256, 64), _block_a(288, 64)),
        Branches([_reduce(288, 384), three, nn.MaxPool2d(3, 2)]),
        *(_block_c(128), _block_c(160), _block_c(160), _block_c(192)),
        Branches([nn.Sequential(_conv(768, 192), _reduce(192, 320)), seven, nn.MaxPool2d(3, 2)]),
        _block_e(1280, _average(1280, 192)),
        # The last block takes a maximum where its twin takes a mean: so it is in the graph.
        _block_e(2048, nn.Sequential(nn.MaxPool2d(3, 1, 1), _conv(2048, 192))),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )
    # With channels last it takes two thirds of the time on a CPU.
    layers.eval().requires_grad_(False)
    layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stub
    return layers


def read_weights(layers: nn.Module, path: Path) -> None:
    """Sets every convolution of ``layers`` to what the TorchScript archive ``path`` holds.

    For each one, in order, the archive keeps four arrays of little-endian float32: weight, and the
    shift, mean and variance of its batch normalisation. The pickle beside them, which names them,
    stays unread. ``UserError`` if the arrays are not as many or not as large as the network needs.
    """
    with zipfile.ZipFile(path) as archive:
        arrays = {name for name in archive.namelist() if Path(name).parent.name == "data"}
        (top,) = {name.split("/")[0] for name in arrays} or {""}
        convolutions = [layer for layer in layers.modules() if isinstance(layer, nn.Conv2d)]
        if len(arrays) != 4 * len(convolutions):
            raise UserError(f"{path} holds {len(arrays)} arrays, not {4 * len(convolutions)}")
        for i, layer in enumerate(convolutions):
            kept = [archive.read(f"{top}/data/{4 * i + part}") for part in range(4)]
            sizes, outputs = [len(content) // 4 for content in kept], layer.out_channels
            if sizes != [layer.weight.numel(), outputs, outputs, outputs]:
                raise UserError(f"{path}: the arrays of convolution {i} have {sizes} numbers")
            weight, shift, mean, variance = (np.frombuffer(c, "<f4").astype(float) for c in kept)
            scale = 1 / np.sqrt(variance + EPSILON)
            weight = weight.reshape(layer.weight.shape) * scale[:, None, None, None]
            assert layer.bias is not None  # every convolution has one, where batch norm went
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(weight))
                layer.bias.copy_(torch.from_numpy(shift - mean * scale))


def inception(raw: Path = Path("data/raw")) -> nn.Sequential:
    """The network with its weights, from the folder ``inception`` in ``raw``.

    ``UserError`` if they are not there or not those published, with the way to get them;
    ``data.sources.missing("inception")`` tells whether they are there, without reading them.
    """
    if reason := missing("inception", raw):
        raise UserError(reason)
    folder = Path(raw) / "inception"
    for name, fault in faulty_files("inception", folder).items():
        again = f"delete {folder / 'SOURCE.json'} and run `snakemake {folder / 'SOURCE.json'}`"
        raise UserError(f"{folder / name} is {fault}: {again}")
    layers = network()
    read_weights(layers, folder / "default_1.pt")
    return layers


def enlarged(images: Tensor) -> Tensor:
    """Images [N, C, H, W] at 299×299, bilinear as in the first TensorFlow.

    Pixel i is read at i·H/299: the top left corners of both images coincide, not their centres,
    and beyond the last pixel lies its copy. No filter precedes it when an image gets smaller.
    """
    for axis in (2, 3):
        size = images.shape[axis]
        place = torch.arange(EDGE, dtype=torch.float64, device=images.device) * size / EDGE
        before = place.floor().long()
        after = (before + 1).clamp(max=size - 1)
        share = (place - before).to(images.dtype)
        share = share[:, None] if axis == 2 else share
        low, high = images.index_select(axis, before), images.index_select(axis, after)
        images = low + (high - low) * share
    return images


@torch.no_grad()
def features(layers: nn.Module, images: np.ndarray, batch: int = 32) -> Tensor:
    """Features float32 [N, 2048] of images uint8 [N, H, W, 3], computed where the network lies.

    ``UserError`` for images of another kind; values in [0, 1] would give features of black.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        what = f"{images.dtype} {list(images.shape)}"
        raise UserError(f"the Inception network takes images uint8 [N, H, W, 3], not {what}")
    device, parts = next(layers.parameters()).device, [torch.empty(0, FEATURES)]
    for start in range(0, len(images), batch):
        part = torch.from_numpy(images[start : start + batch]).to(device)
        part = enlarged(part.permute(0, 3, 1, 2).float())
        parts.append(layers((part - 128) / 128).cpu())
    return torch.cat(parts)
