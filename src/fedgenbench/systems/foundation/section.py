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
    record, pool = read_json(folder / "provenance.json"), read_json(folder / "pool.json")
    sets = pool["drawings"]["train"]
    steps = record["history"][-1]["step"]
    hours = record["cpu_seconds"] / 3600
    return (
        "A miniature Stable Diffusion stands in for the large one. It was trained on "
        f"{sum(map(len, sets.values())):,} drawings of {len(sets)} public sets, of which none is a "
        "client's style and none redraws a client's or a test picture, its U-Net for "
        f"{steps:,} steps in {hours:.1f} hours of a core. All that stands here was recorded with its "
        "weights."
    )


def samples_caption() -> str:
    return (
        "Images of the foundation model without any adapter, a class per row: "
        f"{', '.join(emoji_classes())}. "
        "Recorded with the weights."
    )
