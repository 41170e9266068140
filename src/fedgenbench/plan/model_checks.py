"""Diffusion models in folders that lack what the settings name."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedgenbench.images.settings import Lora
    from fedgenbench.plan.settings import Settings

_UNET = "unet/diffusion_pytorch_model.safetensors"


def sources(settings: Settings) -> dict[str, str]:
    """Where each diffusion model that experiments draw with is named -> folder or hub id."""
    named = {}
    for key, experiment in settings.experiments.items():
        where = f"experiments.{key}"
        if experiment.synthesis:
            named[f"{where}.synthesis.base.source"] = experiment.synthesis.base.source
        if chosen := experiment.fedlmg:
            named[f"{where}.fedlmg.base.source"] = chosen.base.source
            if chosen.rivals and chosen.rivals.feddisc:
                place = f"{where}.fedlmg.rivals.feddisc.base.source"
                named[place] = chosen.rivals.feddisc.base.source
    return named


def model_faults(settings: Settings) -> Iterator[str]:
    """Folders that are no model, and adapters' targets that their U-Net lacks.

    A folder that is not there is no fault of the settings: it may be placed later (``needs``).
    """
    named = sources(settings) | {"unclip.source": settings.unclip.source}
    for where, source in named.items():
        if Path(source).exists() and not (Path(source) / "model_index.json").is_file():
            yield (
                f"{where}: {source} has no model_index.json, so it is no model in diffusers' layout: "
                "name the folder that holds it"
            )
    for key, experiment in settings.experiments.items():
        if chosen := experiment.synthesis:
            where = f"experiments.{key}.synthesis.lora.targets"
            yield from _targets(where, chosen.lora, Path(chosen.base.source))


def _targets(where: str, lora: Lora, folder: Path) -> Iterator[str]:
    if not (folder / _UNET).is_file():
        return
    layers = _linear_layers(folder / _UNET)
    for target in lora.targets:
        if not any(name == target or name.endswith(f".{target}") for name in layers):
            known = ", ".join(sorted({_short(name) for name in layers}))
            yield f"{where}: the U-Net in {folder} has no linear layer {target!r}; it has {known}"


def _short(layer: str) -> str:
    """The end of a layer's name that tells kinds apart: ``to_q``, ``to_out.0``."""
    *_, above, last = ["", *layer.split(".")]
    return f"{above}.{last}" if last.isdigit() else last


def _linear_layers(path: Path) -> list[str]:
    """Names of the layers whose weight is a matrix, from the head of a safetensors file."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        head = json.loads(file.read(length))
    return [
        name.removesuffix(".weight")
        for name, entry in head.items()
        if name.endswith(".weight") and len(entry["shape"]) == 2
    ]
