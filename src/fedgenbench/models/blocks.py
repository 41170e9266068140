"""What the architectures of FedLMG's clients have in common (papers/fedlmg.md §4)."""

from torch import nn

from fedgenbench.core.errors import UserError


class Classifier(nn.Module):
    """A network that a plain loop trains, one client at a time.

    A subclass has ``embed``, from images ``[B, C, H, W]`` to features ``[B, F]``, and the linear
    layer ``head``. Batch norm is torch's own: it changes its running statistics in place and counts
    every image. A ``mask`` for padded images is therefore a ``UserError``.
    """

    def forward(self, x, mask=None):
        if mask is not None:
            raise UserError(
                f"model: {type(self).__name__} trains one client at a time and cannot leave padded "
                "images out; where clients share batches, choose bn_cnn, resnet18 or a net without "
                "batch norm (mlp, fedpac_cnn)."
            )
        features = self.embed(x)
        return self.head(features), features


def he_normal(model: nn.Module) -> None:
    """Draws all layers but ``head`` from He's normal distribution over the inputs, biases zero.

    It keeps the size of the signal, which a deep network without batch norm needs to start at all.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and name != "head":
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
