"""Batch normalisation whose statistics are arguments and results."""

import torch
import torch.nn.functional as F
from torch import nn

from fedgenbench.core.errors import UserError


class BatchNorm(nn.Module):
    """Batch normalisation over ``[B, C, H, W]`` that can leave padded samples out.

    The running statistics are never changed in place: in training the module *assigns* new ones, so
    that under ``torch.func.functional_call`` they are part of the result. ``mask`` is ``[B]`` with 0
    for padding; without it all samples count. Momentum 0.1 and eps 1e-5, as in torch; the running
    variance is the unbiased one, as there.
    """

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5):
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x, mask=None):
        if not self.training:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        if mask is None:
            mean, var = self.running_mean.clone(), self.running_var.clone()
            y = F.batch_norm(x, mean, var, self.weight, self.bias, True, self.momentum, self.eps)
            self.running_mean, self.running_var = mean, var
            return y
        weight = mask[:, None, None, None]
        count = (mask.sum() * x.shape[2] * x.shape[3]).clamp(min=1)
        mean = (x * weight).sum((0, 2, 3)) / count
        centred = x - mean[:, None, None]
        var = (centred.square() * weight).sum((0, 2, 3)) / count
        with torch.no_grad():
            unbiased = var * count / (count - 1).clamp(min=1)
            self.running_mean = torch.lerp(self.running_mean, mean, self.momentum)
            self.running_var = torch.lerp(self.running_var, unbiased, self.momentum)
        scale = self.weight * torch.rsqrt(var + self.eps)
        return centred * scale[:, None, None] + self.bias[:, None, None]


@torch.no_grad()
def needs_two_images(model: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether batch norm of ``model`` sees one value per channel of one image [C, H, W].

    Of one value there is no variance: torch refuses to train on such a batch. ``model`` is left in
    the mode that it was in.
    """
    found = []

    def look(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        found.append(inputs[0][0, 0].numel() == 1)

    layers = [each for each in model.modules() if isinstance(each, BatchNorm | nn.BatchNorm2d)]
    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    training = model.training
    try:
        if layers:
            model.eval()(next(model.parameters()).new_zeros(1, *shape))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return any(found)


def require_two_images(who: str, key: str, images: int, batch_size: int) -> None:
    """Refuses training that has no batch of two, for models of which ``needs_two_images`` is true.

    Raises:
        UserError: ``who`` has one image, or the setting ``key`` asks for batches of one.
    """
    why = "batch norm of this model sees one value per channel of each, which has no variance"
    if batch_size == 1:
        raise UserError(
            f"{key}: batches of one image, and {why}; take at least 2, or a model without batch norm"
        )
    if images == 1:
        raise UserError(
            f"{who} trains on one image, and {why}; give it more, or choose a model without batch norm"
        )
