"""VGG-16 without batch norm in torchvision's layout, and its miniature."""

import torch.nn.functional as F
from torch import nn

from fedgenbench.models.blocks import Classifier, he_normal


class VGG16(Classifier):
    """Configuration D of Simonyan and Zisserman, 2015: 138,357,544 parameters with 1000 classes.

    3×3 convolutions with ReLU, 2×2 max-pools, two hidden layers with dropout. For 224 pixels; other
    sizes are averaged to the grid that the first hidden layer takes.
    """

    # Channels of the convolutions between two max-pools.
    stages: tuple[tuple[int, ...], ...] = (
        (64, 64),
        (128, 128),
        (256, 256, 256),
        (512, 512, 512),
        (512, 512, 512),
    )
    grid = 7  # pixels that the first hidden layer sees, along each side
    hidden = 4096
    dropout = 0.5

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        width, layers = shape[0], []
        for stage in self.stages:
            for channels in stage:
                layers += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU()]
                width = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(width * self.grid**2, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
        )
        self.head = nn.Linear(self.hidden, classes)
        he_normal(self)

    def embed(self, x):
        x = F.adaptive_avg_pool2d(self.features(x), self.grid)
        return self.classifier(x.flatten(1))


class MiniVGG(VGG16):
    """Its miniature for 32 pixels, without dropout."""

    stages = ((16,), (32,), (64, 64))
    grid = 2
    hidden = 128
    dropout = 0.0
