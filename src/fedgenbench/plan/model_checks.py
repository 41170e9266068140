"""Diffusion models in folders that lack what the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedgenbench.plan.settings import Settings


def sources(settings: Settings) -> dict[str, str]:
    """Where each diffusion model that experiments draw with is named -> folder or hub id."""
    return {
        f"experiments.{key}.{name}.{place}": source
        for key, experiment in settings.experiments.items()
        for name, block in experiment.blocks.items()
        for place, source in block.models().items()
    }


def model_faults(settings: Settings) -> Iterator[str]:
    """Folders that are no model.

    A folder that is not there is no fault of the settings: it may be placed later (``needs``).
    """
    named = sources(settings) | {"unclip.source": settings.unclip.source}
    for where, source in named.items():
        if Path(source).exists() and not (Path(source) / "model_index.json").is_file():
            yield (
                f"{where}: {source} has no model_index.json, so it is no model in diffusers' layout: "
                "name the folder that holds it"
            )
