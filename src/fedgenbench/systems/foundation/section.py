"""The foundation model's evidence, as it is recorded with its weights (docs/foundation.md)."""

from pathlib import Path

import matplotlib
import pandas as pd

from fedgenbench.core.files import read_json
from fedgenbench.data.emoji import emoji_classes
from fedgenbench.report.figures import BLUE, ORANGE, STYLE, Figure, finish, lay_out
from fedgenbench.report.tables import Cell, Column, Row, Table

RECORDED = (
    "Recorded with the weights, not measured by this grid of runs. No number is one of a paper."
)


def foundation_text(folder: Path) -> str:
    """What the model is and what it may have seen."""
    record = read_json(folder / "provenance.json")
    return (
        "A miniature Stable Diffusion stands in for the large one. It was trained on "
        f"{len(record['trained_on']['images']):,} drawings of the public styles alone, which no client "
        "holds, in "
        f"{(record['vae']['wall_seconds'] + record['wall_seconds']) / 60:.0f} minutes on one core. "
        "All that stands here was recorded with its weights."
    )


def evidence_table(folder: Path) -> Table:
    """How good the generated images are, beside real ones."""
    found = read_json(folder / "evidence.json")
    accuracy, distance = found["accuracy_trained_on"], found["kernel_distance_to_training"]
    nearest, psnr = found["nearest_training_image"], found["autoencoder_psnr_db"]

    def row(id: str, label: str, *cells: str) -> Row:
        return Row(id, label, tuple(map(Cell, cells)))

    def per_cent(value: float) -> str:
        return f"{100 * value:.1f} %"

    generated, real = accuracy["generated"], accuracy["real"]
    rows = (
        row(
            "accuracy-validation",
            "Accuracy of a CNN trained on them, validation names",
            per_cent(generated["validation"]),
            per_cent(real["validation"]),
        ),
        row(
            "accuracy-clients",
            "The same, clients' training images (unseen styles)",
            per_cent(generated["clients"]),
            per_cent(real["clients"]),
        ),
        row("recognised", "Recognised by the CNN of real images", per_cent(real["generated"]), "–"),
        row(
            "kernel",
            "Kernel distance to the training images",
            f"{distance['generated']:.2f}",
            f"{distance['validation']:.2f} (clients' {distance['clients']:.1f})",
        ),
        row(
            "nearest",
            "Median distance to the nearest training image",
            f"{nearest['generated']:.3f}",
            f"{nearest['validation']:.3f}",
        ),
        row(
            "copied",
            "Nearer to one than 95 % of unseen real images",
            per_cent(nearest["copied_share"]),
            "5.0 % by definition",
        ),
        row(
            "psnr",
            "Autoencoder, reproduction",
            "–",
            f"{psnr['validation']:.1f} dB (clients' {psnr['clients']:.1f})",
        ),
        row("time", "Time for an image", f"{found['seconds_per_image']:.2f} s", "–"),
    )
    return Table(
        "foundation",
        "The foundation model: generated images beside real ones",
        (Column("Generated"), Column("Real")),
        rows,
        (
            f"{found['images']} generated images. Real: training images where a CNN is trained on them, "
            "else unseen names of the same styles.",
            RECORDED,
        ),
        "Measure",
    )


@matplotlib.rc_context(STYLE)
def history_figure(folder: Path) -> Figure:
    """Training and validation loss of the autoencoder and the U-Net, by step."""
    record = read_json(folder / "provenance.json")
    parts = {"Autoencoder": record["vae"]["history"], "U-Net": record["history"]}
    drawing, panels = lay_out(2, 2, width=2.0, height=1.5, right=0.9)
    for axes, (title, history) in zip(panels, parts.items(), strict=True):
        frame = pd.DataFrame(history)
        labels = []
        for name, colour in (("train", ORANGE), ("validation", BLUE)):
            axes.plot(frame["step"], frame[name], color=colour)
            labels.append((frame[name].iloc[-1], name, colour))
        axes.set(title=title, xlabel="Step", ylabel="Loss")
        # The first values would take most of the height.
        axes.set_ylim(top=1.5 * frame["validation"].iloc[len(frame) // 8 :].max())
        axes.set_ylim(bottom=0)
        finish(axes, labels)
    return Figure(
        "foundation_history",
        "The foundation model's losses by step, on training images and on validation names. "
        "Recorded with the weights.",
        drawing,
    )


def samples_caption() -> str:
    return (
        "Images of the foundation model without any adapter, a class per row: "
        f"{', '.join(emoji_classes())}. "
        "Recorded with the weights."
    )
