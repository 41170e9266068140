"""ResNet-34 in torchvision's layout, and its miniature.

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


class ResNet34(Classifier):
    """The ResNet-34 of He et al., 2016: 21,797,672 parameters with 1000 classes, for 224 pixels."""

    kernel = 7  # of the first convolution, which has stride 2
    pooled = True  # by 2 after it
    # Channels, blocks; each but the first halves.
    stages: tuple[tuple[int, int], ...] = ((64, 3), (128, 4), (256, 6), (512, 3))

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        width = self.stages[0][0]
        self.conv1 = nn.Conv2d(shape[0], width, self.kernel, 2, self.kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        for number, (channels, blocks) in enumerate(self.stages, start=1):
            stage = [_Block(width, channels, 1 if number == 1 else 2)]
            stage += [_Block(channels, channels, 1) for _ in range(blocks - 1)]
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
    stages = ((16, 1), (32, 2), (64, 2))
