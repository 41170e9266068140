"""A small vision transformer, for mixes of clients that share no kind of layer."""

import torch
from torch import nn

from fedgenbench.models.blocks import Classifier


class MiniViT(Classifier):
    """The transformer of Dosovitskiy et al., 2021, for 32 pixels, without dropout.

    Patches of 8×8 pixels with learned positions, pre-norm blocks of self-attention and a perceptron
    twice as wide, the mean over patches in place of a class token. Of other sizes, an edge narrower
    than a patch is left out.
    """

    patch = 8
    width = 64
    heads = 4
    depth = 4

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        channels, height, side = shape
        self.patches = nn.Conv2d(channels, self.width, self.patch, self.patch)
        count = (height // self.patch) * (side // self.patch)
        self.positions = nn.Parameter(torch.empty(count, self.width))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.blocks = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    self.width,
                    self.heads,
                    2 * self.width,
                    dropout=0.0,
                    activation="gelu",
                    batch_first=True,
                    norm_first=True,
                )
                for _ in range(self.depth)
            )
        )
        self.norm = nn.LayerNorm(self.width)
        self.head = nn.Linear(self.width, classes)

    def embed(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.norm(self.blocks(tokens)).mean(1)
