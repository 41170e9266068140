"""ResNet-18, the classifier that the paper scale of WarmFed takes (papers/warmfed.md §4)."""

import torch.nn.functional as F
from torch import nn

from fedgenbench.models.layers import BatchNorm


class _Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut, a 1×1 convolution where the shape changes."""

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = BatchNorm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = BatchNorm(width)
        self.project = None
        if channels != width:
            self.project = nn.Conv2d(channels, width, 1, stride, bias=False)
            self.project_norm = BatchNorm(width)

    def forward(self, x, mask=None):
        y = F.relu(self.norm1(self.conv1(x), mask))
        y = self.norm2(self.conv2(y), mask)
        if self.project is not None:
            x = self.project_norm(self.project(x), mask)
        return F.relu(x + y)


class ResNet18(nn.Module):
    """The ResNet-18 of He et al., 2016, as torchvision has it: 11,181,642 parameters, ten classes.

    7×7 convolution with stride 2, 3×3 max-pool with stride 2, four stages of two blocks with 64,
    128, 256 and 512 channels, mean over positions, ``head``. Convolutions start from He's normal
    distribution over the outputs. Any image size; meant for 64, 96 and 224 pixels.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        self.stem = nn.Conv2d(shape[0], 64, 7, stride=2, padding=3, bias=False)
        self.norm = BatchNorm(64)
        plan = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1)]
        plan += [(128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
        self.blocks = nn.ModuleList(_Block(*block) for block in plan)
        self.head = nn.Linear(512, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x, mask=None):
        x = F.relu(self.norm(self.stem(x), mask))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        for block in self.blocks:
            x = block(x, mask)
        features = x.mean((2, 3))
        return self.head(features), features
