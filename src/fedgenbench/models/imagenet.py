"""ImageNet weights from a file in torchvision's layout (papers/fedlmg.md §4)."""

from pathlib import Path

import torch
from torch import Tensor, nn

from fedgenbench.core.errors import UserError

# Class -> what torchvision calls the layer that is ``head`` here. All other names are the same,
# but for ResNet-18's.
HEADS = {
    "ResNet18": "fc",
    "ResNet34": "fc",
    "ResNet50": "fc",
    "MobileNetV2": "classifier.1",
    "MobileNetV3Small": "classifier.3",
    "VGG16": "classifier.6",
    "ShuffleNetV2": "fc",
}
# Batches that batch norm has seen. No layer here uses the number, old files and ResNet18 lack it.
COUNTER = ".num_batches_tracked"


def imagenet(model: nn.Module, path: str | Path) -> None:
    """Gives ``model`` the weights of a .pth or .safetensors file, but for its ``head``.

    The file holds a flat dictionary of tensors, as torchvision publishes it. ``head`` keeps its
    initial values, whatever the number of classes. ``UserError`` names the first key that is missing,
    has another shape or belongs to no layer; then ``model`` is as before.
    """
    kind = type(model).__name__
    if kind not in HEADS:
        raise UserError(f"model: {kind} has no ImageNet weights; choose one of {', '.join(HEADS)}.")
    file = _read(Path(path))
    weights = {}
    for name, own in model.state_dict().items():
        key = _resnet18(name) if kind == "ResNet18" else name
        if name.startswith("head.") or (key.endswith(COUNTER) and key not in file):
            continue
        if key not in file:
            raise UserError(f"{path}: no key {key}; expected torchvision's weights of {kind}.")
        weights[name] = file.pop(key)
        shapes = tuple(weights[name].shape), tuple(own.shape)
        if shapes[0] != shapes[1]:
            raise UserError(f"{path}: {key} has shape {shapes[0]}; {kind} takes {shapes[1]}.")
    for key in file:
        if not key.endswith(COUNTER) and key not in (
            f"{HEADS[kind]}.weight",
            f"{HEADS[kind]}.bias",
        ):
            raise UserError(f"{path}: {key} is no part of {kind}; expected torchvision's weights.")
    model.load_state_dict(weights, strict=False)


def _resnet18(name: str) -> str:
    """torchvision's name for a tensor of ``ResNet18``."""
    name = name.replace("stem", "conv1").replace("project_norm", "downsample.1")
    words = name.replace("project", "downsample.0").replace("norm", "bn").split(".")
    if words[0] == "blocks":
        number = int(words[1])
        return ".".join([f"layer{number // 2 + 1}", str(number % 2), *words[2:]])
    return ".".join(["bn1" if words[0] == "bn" else words[0], *words[1:]])


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, on the CPU."""
    from safetensors.torch import load_file

    if path.suffix not in (".pth", ".safetensors"):
        raise UserError(f"{path}: weights are read from .pth and .safetensors files.")
    if not path.is_file():
        raise UserError(f"{path}: no such file; place torchvision's ImageNet weights there.")
    try:
        if path.suffix == ".safetensors":
            found = load_file(path)
        else:
            # Tensors and plain containers only: anything else in the file is refused, not run.
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in as many ways as it has parts
        raise UserError(f"{path}: cannot be read as weights; fetch it again.") from error
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise UserError(f"{path}: not a flat dictionary of tensors; save model.state_dict().")
    return dict(found)
