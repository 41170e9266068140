"""ShuffleNetV2 in torchvision's layout, and its miniature."""

import torch
import torch.nn.functional as F
from torch import nn

from fedgenbench.models.blocks import Classifier, he_normal


def _filter(channels: int, stride: int) -> list[nn.Module]:
    """A 3×3 convolution of each channel on its own, and batch norm."""
    conv = nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)
    return [conv, nn.BatchNorm2d(channels)]


def _mix(inputs: int, outputs: int) -> list[nn.Module]:
    """A 1×1 convolution, batch norm and ReLU."""
    return [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


class _Unit(nn.Module):
    """Ma et al., 2018, figure 3: half the channels pass, or with stride 2 both branches see all.

    The outputs of the two branches are interleaved.
    """

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        half = outputs // 2
        self.split = stride == 1
        first = [] if self.split else [*_filter(inputs, stride), *_mix(inputs, half)]
        self.branch1 = nn.Sequential(*first)
        inner = half if self.split else inputs
        self.branch2 = nn.Sequential(*_mix(inner, half), *_filter(half, stride), *_mix(half, half))

    def forward(self, x):
        left, right = x.chunk(2, dim=1) if self.split else (x, x)
        pair = torch.stack([self.branch1(left), self.branch2(right)], dim=2)
        return pair.flatten(1, 2)


class ShuffleNetV2(Classifier):
    """ShuffleNetV2 ×1.0 of Ma et al., 2018, for 224 pixels.

    2,278,604 parameters with 1000 classes. The first convolution has stride 2.
    """

    stem = 24
    pooled = True  # by 2 after the first convolution
    # Channels, units; each stage halves the image.
    stages: tuple[tuple[int, int], ...] = ((116, 4), (232, 8), (464, 4))
    last = 1024

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        first = nn.Conv2d(shape[0], self.stem, 3, stride=2, padding=1, bias=False)
        self.conv1 = nn.Sequential(first, nn.BatchNorm2d(self.stem), nn.ReLU())
        width = self.stem
        for number, (channels, units) in enumerate(self.stages, start=2):
            stage = [_Unit(width, channels, 2)]
            stage += [_Unit(channels, channels, 1) for _ in range(units - 1)]
            self.add_module(f"stage{number}", nn.Sequential(*stage))
            width = channels
        self.conv5 = nn.Sequential(*_mix(width, self.last))
        self.head = nn.Linear(self.last, classes)
        he_normal(self)

    def embed(self, x):
        x = self.conv1(x)
        if self.pooled:
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        for number in range(len(self.stages)):
            x = self.get_submodule(f"stage{number + 2}")(x)
        return self.conv5(x).mean((2, 3))


class MiniShuffleNet(ShuffleNetV2):
    """Its miniature for 32 pixels: two stages at 8 and 4 pixels."""

    stem = 16
    pooled = False
    stages = ((64, 2), (128, 3))
    last = 192
