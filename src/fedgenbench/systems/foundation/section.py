"""The report's section on the foundation model: all of it is recorded with the weights."""

from collections.abc import Sequence
from pathlib import Path

from fedgenbench.core.files import read_json
from fedgenbench.data.emoji import emoji_classes
from fedgenbench.report.results import Results
from fedgenbench.report.section import Illustration, Section, read_raster
from fedgenbench.systems.foundation.record import FOLDER, recorded
from fedgenbench.systems.foundation.tables import tables


def section(results: Results, figures: Sequence[Illustration]) -> Section | None:
    """The part of the report on the model that draws, if one was trained here."""
    if not recorded():
        return None
    samples = read_raster(FOLDER / "samples.png", "foundation_samples", samples_caption())
    return Section(
        title="The foundation model",
        text=text(FOLDER),
        tables=tables(results),
        figures=[*figures, samples],
        name="foundation",
    )


def text(folder: Path) -> str:
    """What the model is and what it may have seen."""
    record = read_json(folder / "provenance.json")
    return (
        "A miniature Stable Diffusion stands in for the large one. It was trained on "
        f"{len(record['trained_on']['images']):,} drawings of the public styles alone, which no client "
        "holds, in "
        f"{(record['vae']['wall_seconds'] + record['wall_seconds']) / 60:.0f} minutes on one core. "
        "All that stands here was recorded with its weights."
    )


def samples_caption() -> str:
    return (
        "Images of the foundation model without any adapter, a class per row: "
        f"{', '.join(emoji_classes())}. "
        "Recorded with the weights."
    )
