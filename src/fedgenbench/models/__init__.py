"""Client classifiers, by name.

A model is an ``nn.Module`` whose ``forward(x, mask=None)`` returns ``(logits, features)``: ``x`` is
``[B, C, H, W]``, ``mask`` a ``[B]`` float (0 marks padding), ``logits`` ``[B, classes]`` and
``features`` ``[B, F]``, the input of its last layer. That last layer is called ``head``.
"""

from importlib import import_module

# name -> (module, class); the module is imported when the model is built.
MODELS = {
    "mlp": ("fedgenbench.models.mlp", "MLP"),
    "fedpac_cnn": ("fedgenbench.models.cnn", "FedPACNet"),
    "bn_cnn": ("fedgenbench.models.cnn", "BatchNormCNN"),
}


def build(name: str, shape: tuple[int, int, int], classes: int, seed: int):
    """The model ``name`` for images of ``shape`` (C, H, W), initialised from ``seed`` alone."""
    import torch

    module, cls = MODELS[name]
    # Layers draw their initial weights from torch's default generator: fork it, so that the draw
    # has a named seed and leaves no trace.
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        return getattr(import_module(module), cls)(shape, classes)
