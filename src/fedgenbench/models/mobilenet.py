"""MobileNetV2 and MobileNetV3-small in torchvision's layout, and their miniatures."""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import nn

from fedgenbench.models.blocks import Classifier, he_normal


def _unit(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
    act: type[nn.Module] | None = nn.ReLU6,
) -> nn.Sequential:
    """Convolution, batch norm and, unless ``act`` is None, an activation; keeps size / stride."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, norm(outputs), *([] if act is None else [act()]))


class _Bottleneck(nn.Module):
    """Sandler et al., 2018: widen, filter each channel, narrow without an activation."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int):
        super().__init__()
        inner = inputs * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [_unit(inputs, inner, 1)]
        layers += [_unit(inner, inner, 3, stride, groups=inner)]
        layers += [nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(Classifier):
    """The network of Sandler et al., 2018: 3,504,872 parameters with 1000 classes, for 224 pixels."""

    stem = 32  # channels of the first convolution, which has stride 2
    # Table 2 there: expansion, channels, blocks, stride of the first block.
    stages: tuple[tuple[int, int, int, int], ...] = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    last = 1280
    dropout = 0.2

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        width = self.stem
        layers: list[nn.Module] = [_unit(shape[0], width, 3, 2)]
        for expansion, channels, blocks, stride in self.stages:
            for number in range(blocks):
                layers.append(_Bottleneck(width, channels, expansion, stride if number == 0 else 1))
                width = channels
        layers.append(_unit(width, self.last, 1))
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(self.last, classes)
        he_normal(self)

    def embed(self, x):
        return F.dropout(self.features(x).mean((2, 3)), self.dropout, self.training)


class MiniMobileNetV2(MobileNetV2):
    """Its miniature for 32 pixels, without dropout."""

    stem = 16
    stages = ((1, 16, 1, 1), (4, 24, 2, 2), (4, 48, 2, 2))
    last = 192
    dropout = 0.0


class _Excitation(nn.Module):
    """Squeeze-and-excitation: each channel times a weight that all channels' means decide."""

    def __init__(self, channels: int):
        super().__init__()
        # A quarter, rounded to a multiple of 8, not down by more than a tenth.
        squeezed = max(8, (channels // 4 + 4) // 8 * 8)
        if squeezed < 0.9 * (channels // 4):
            squeezed += 8
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        return x * F.hardsigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class _BottleneckV3(nn.Module):
    """Howard et al., 2019: the bottleneck with another kernel, activation and excitation."""

    def __init__(
        self,
        inputs: int,
        kernel: int,
        inner: int,
        outputs: int,
        excited: bool,
        act: type[nn.Module],
        stride: int,
        norm: Callable[[int], nn.Module],
    ):
        super().__init__()
        unit = partial(_unit, norm=norm)
        layers: list[nn.Module] = [] if inner == inputs else [unit(inputs, inner, 1, act=act)]
        layers += [unit(inner, inner, kernel, stride, groups=inner, act=act)]
        layers += [_Excitation(inner)] if excited else []
        layers += [unit(inner, outputs, 1, act=None)]
        self.block = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.block(x) if self.residual else self.block(x)


class MobileNetV3Small(Classifier):
    """The small network of Howard et al., 2019, for 224 pixels.

    2,542,856 parameters with 1000 classes. The first convolution has stride 2.
    """

    stem = 16
    # Table 2 there: kernel, inner channels, channels, excitation, activation, stride.
    stages: tuple[tuple[int, int, int, bool, type[nn.Module], int], ...] = (
        (3, 16, 16, True, nn.ReLU, 2),
        (3, 72, 24, False, nn.ReLU, 2),
        (3, 88, 24, False, nn.ReLU, 1),
        (5, 96, 40, True, nn.Hardswish, 2),
        (5, 240, 40, True, nn.Hardswish, 1),
        (5, 240, 40, True, nn.Hardswish, 1),
        (5, 120, 48, True, nn.Hardswish, 1),
        (5, 144, 48, True, nn.Hardswish, 1),
        (5, 288, 96, True, nn.Hardswish, 2),
        (5, 576, 96, True, nn.Hardswish, 1),
        (5, 576, 96, True, nn.Hardswish, 1),
    )
    last = 576
    hidden = 1024
    dropout = 0.2
    # As torchvision's weights were trained
    norm: Callable[[int], nn.Module] = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        unit = partial(_unit, norm=self.norm, act=nn.Hardswish)
        width = self.stem
        layers: list[nn.Module] = [unit(shape[0], width, 3, 2)]
        for stage in self.stages:
            layers.append(_BottleneckV3(width, *stage, self.norm))
            width = stage[2]
        layers.append(unit(width, self.last, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(self.last, self.hidden), nn.Hardswish())
        self.head = nn.Linear(self.hidden, classes)
        he_normal(self)

    def embed(self, x):
        x = self.classifier(self.features(x).mean((2, 3)))
        return F.dropout(x, self.dropout, self.training)


class MiniMobileNetV3(MobileNetV3Small):
    """Its miniature for 32 pixels, without dropout; statistics follow at torch's usual pace."""

    stem = 16
    stages = (
        (3, 16, 16, True, nn.ReLU, 2),
        (3, 72, 24, False, nn.ReLU, 2),
        (3, 88, 24, False, nn.ReLU, 1),
        (5, 96, 40, True, nn.Hardswish, 2),
        (5, 160, 40, True, nn.Hardswish, 1),
    )
    last = 160
    hidden = 192
    dropout = 0.0
    norm = nn.BatchNorm2d
