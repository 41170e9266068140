"""ResNet-34 and ResNet-50 in torchvision's layout, and their miniatures.

ResNet-18 is in ``resnet``: it also trains with clients stacked, which takes another batch norm.
"""

import torch.nn.functional as F
from torch import nn

from fedgenbench.models.blocks import Classifier, he_normal


class _Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut, a 1×1 convolution where the shape changes."""

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample: nn.Module = nn.Identity()
        if (channels, 1) != (width, stride):
            shortcut = nn.Conv2d(channels, width, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(self.downsample(x) + y)


class _Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions to four times the width; the 3×3 one halves, as torchvision's."""

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        inner = width // 4
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample: nn.Module = nn.Identity()
        if (channels, 1) != (width, stride):
            shortcut = nn.Conv2d(channels, width, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(width))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(self.downsample(x) + y)


class ResNet34(Classifier):
    """The ResNet-34 of He et al., 2016: 21,797,672 parameters with 1000 classes, for 224 pixels."""

    kernel = 7  # of the first convolution, which has stride 2
    pooled = True  # by 2 after it
    block: type[nn.Module] = _Block
    stem = 64  # channels of the first convolution
    # Channels, blocks; each but the first halves.
    stages: tuple[tuple[int, int], ...] = ((64, 3), (128, 4), (256, 6), (512, 3))

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        width = self.stem
        self.conv1 = nn.Conv2d(shape[0], width, self.kernel, 2, self.kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        for number, (channels, blocks) in enumerate(self.stages, start=1):
            stage = [self.block(width, channels, 1 if number == 1 else 2)]
            stage += [self.block(channels, channels, 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*stage))
            width = channels
        self.head = nn.Linear(width, classes)
        he_normal(self)

    def embed(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if self.pooled:
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        for number in range(len(self.stages)):
            x = self.get_submodule(f"layer{number + 1}")(x)
        return x.mean((2, 3))


class MiniResNet(ResNet34):
    """Its miniature for 32 pixels: five blocks at 16, 8 and 4 pixels."""

    kernel = 3
    pooled = False
    stem = 16
    stages = ((16, 1), (32, 2), (64, 2))


class ResNet50(ResNet34):
    """The ResNet-50 of He et al., 2016: 25,557,032 parameters with 1000 classes, for 224 pixels."""

    block = _Bottleneck
    stages: tuple[tuple[int, int], ...] = ((256, 3), (512, 4), (1024, 6), (2048, 3))


class MiniResNet50(ResNet50):
    """Its miniature for 32 pixels, larger than the others: five blocks at 16, 8 and 4 pixels."""

    kernel = 3
    pooled = False
    stem = 16
    stages = ((64, 1), (128, 2), (256, 2))
