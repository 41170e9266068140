"""The convolutional client classifiers."""

import itertools

import torch.nn.functional as F
from torch import nn

from fedgenbench.models.layers import BatchNorm


class FedPACNet(nn.Module):
    """The client nets of FedPAC's public code (papers/pfedgpa.md §4.4).

    28×28: conv 1-16 k5, conv 16-32 k5 pad 1, FC 800-128, FC 128-classes (117,066 parameters with ten
    classes). 32×32: a third conv 32-64 k3 pad 1, FC 576-128 (107,690). LeakyReLU; every conv is
    followed by a 2×2 max-pool.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        channels, size, _ = shape
        convs = [nn.Conv2d(channels, 16, 5), nn.Conv2d(16, 32, 5, padding=1)]
        size = ((size - 4) // 2 - 2) // 2
        if shape[1] >= 32:
            convs.append(nn.Conv2d(32, 64, 3, padding=1))
            size //= 2
        self.convs = nn.ModuleList(convs)
        self.hidden = nn.Linear(convs[-1].out_channels * size * size, 128)
        self.head = nn.Linear(128, classes)

    def forward(self, x, mask=None):
        for conv in self.convs:
            # LeakyReLU is increasing, so pooling first gives the same values at a quarter of the work.
            x = F.leaky_relu(F.max_pool2d(conv(x), 2))
        features = F.leaky_relu(self.hidden(x.flatten(1)))
        return self.head(features), features


class BatchNormCNN(nn.Module):
    """Three blocks of conv k3, batch norm, 2×2 max-pool and ReLU, 16-32-64 channels, then the head.

    The small counterpart of the batch-norm ResNets of WarmFed and FedLMG for 32×32 images.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        widths = [shape[0], 16, 32, 64]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(BatchNorm(width) for width in widths[1:])
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x, mask=None):
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(F.max_pool2d(norm(conv(x), mask), 2))
        features = x.mean((2, 3))
        return self.head(features), features
