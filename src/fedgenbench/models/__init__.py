"""Client classifiers, by name.

A model is an ``nn.Module`` whose ``forward(x, mask=None)`` returns ``(logits, features)``: ``x`` is
``[B, C, H, W]``, ``mask`` a ``[B]`` float (0 marks padding), ``logits`` ``[B, classes]`` and
``features`` ``[B, F]``, the input of its last layer. That last layer is called ``head``.
"""

from importlib import import_module

from fedgenbench.models.registry import MODELS


def build(name: str, shape: tuple[int, ...], classes: int, seed: int):
    """The model ``name`` for images of ``shape`` (C, H, W), initialised from ``seed`` alone."""
    import torch

    module, cls = MODELS[name]
    # Layers draw their initial weights from torch's default generator: fork it, so that the draw
    # has a named seed and leaves no trace.
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        return getattr(import_module(module), cls)(shape, classes)
