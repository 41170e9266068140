"""A one-hidden-layer perceptron."""

import torch.nn.functional as F
from torch import nn


class MLP(nn.Module):
    """Input, 64 hidden units with ReLU, classes."""

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        self.hidden = nn.Linear(shape[0] * shape[1] * shape[2], 64)
        self.head = nn.Linear(64, classes)

    def forward(self, x, mask=None):
        features = F.relu(self.hidden(x.flatten(1)))
        return self.head(features), features
