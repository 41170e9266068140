"""What a model asks of images and batches, known without building it. Tests hold it to the models."""

from collections.abc import Iterator
from typing import Any

from fedgenbench.core.settings import SGDSettings

# Smallest edge in pixels of an image that passes all layers; 1 where it is not named.
SMALLEST = {"fedpac_cnn": 12, "bn_cnn": 8, "vgg16": 32, "mini_vgg": 8, "mini_vit": 8}

BATCH_NORM = frozenset(
    {
        *("bn_cnn", "resnet18", "resnet34", "resnet50", "mobilenet_v2", "mobilenet_v3_small"),
        *(
            "shufflenet_v2",
            "mini_resnet",
            "mini_resnet50",
            "mini_mobilenet_v2",
            "mini_mobilenet_v3",
            "mini_shufflenet",
        ),
    }
)

# Those that ImageNet weights exist for (``imagenet``).
PRETRAINED = frozenset(
    {
        "resnet18",
        "resnet34",
        "resnet50",
        "mobilenet_v2",
        "mobilenet_v3_small",
        "vgg16",
        "shufflenet_v2",
    }
)

_BLOCK = ("conv1", "norm1", "conv2", "norm2")
_WIDER = ("project", "project_norm")

# Layers of the models that the engines of the rounds train, for images of 32 pixels or more.
LAYERS = {
    "mlp": ("hidden", "head"),
    "wide_mlp": ("hidden", "head"),
    "fedpac_cnn": ("convs", "convs.0", "convs.1", "convs.2", "hidden", "head"),
    "bn_cnn": (
        *("convs", "convs.0", "convs.1", "convs.2", "norms", "norms.0", "norms.1", "norms.2"),
        "head",
    ),
    "resnet18": (
        *("stem", "norm", "blocks", "head"),
        *(f"blocks.{number}" for number in range(8)),
        *(f"blocks.{number}.{part}" for number in range(8) for part in _BLOCK),
        *(f"blocks.{number}.{part}" for number in (2, 4, 6) for part in _WIDER),
    ),
}


def small(where: str, model: str, dataset: str, edge: int) -> Iterator[str]:
    """What is wrong with images of ``edge`` pixels for ``model``."""
    if edge < (least := SMALLEST.get(model, 1)):
        yield (
            f"{where}: {model} needs images of {least} pixels, those of {dataset} have {edge}: choose "
            "another model"
        )


def alone(where: str, model: str, training: SGDSettings) -> Iterator[str]:
    """What is wrong with batches of one image for ``model``."""
    if training.batch_size == 1 and model in BATCH_NORM:
        yield (
            f"{where}: 1 image has no statistics for the batch norm of {model}: use 2 or more, or a "
            "model without it"
        )


def missing_layers(where: str, model: str, layers: Any) -> Iterator[str]:
    """Layers, or tensors of layers, that ``model`` lacks."""
    known = LAYERS[model]
    # What is no list, the method's own type refuses.
    for layer in layers if isinstance(layers, list | tuple) else ():
        if str(layer).removesuffix(".weight").removesuffix(".bias") not in known:
            yield (
                f"{where}: {model} has no layer {layer!r}; it has "
                f"{', '.join(name for name in known if '.' not in name)}"
            )
