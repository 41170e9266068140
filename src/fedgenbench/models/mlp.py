"""A one-hidden-layer perceptron."""

import torch.nn.functional as F
from torch import nn


class MLP(nn.Module):
    """Input, hidden units with ReLU (64 of them), classes."""

    HIDDEN = 64

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        self.hidden = nn.Linear(shape[0] * shape[1] * shape[2], self.HIDDEN)
        self.head = nn.Linear(self.HIDDEN, classes)

    def forward(self, x, mask=None):
        features = F.relu(self.hidden(x.flatten(1)))
        return self.head(features), features


class WideMLP(MLP):
    """The same with 256 hidden units."""

    HIDDEN = 256
