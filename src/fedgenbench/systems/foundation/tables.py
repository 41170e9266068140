"""The foundation model's evidence, as it is recorded with its weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedgenbench.core.files import read_json
from fedgenbench.report.results import Results
from fedgenbench.report.tables import Cell, Column, Row, Table
from fedgenbench.systems.foundation.record import FOLDER, recorded

RECORDED = (
    "Recorded with the weights, not measured by this grid of runs. No number is one of a paper."
)


def tables(_results: Results) -> list[Table]:
    """The evidence on the model of this repository, whichever runs there are."""
    return [evidence_table(FOLDER)] if recorded() else []


def evidence_table(folder: Path) -> Table:
    """How good the generated images are, beside real ones."""
    evidence = read_json(folder / "evidence.json")
    return Table(
        "foundation",
        "The foundation model: generated images beside real ones",
        (Column("Generated"), Column("Real")),
        _rows(evidence),
        (
            f"{evidence['images']} generated images. Real: training images where a CNN is trained on "
            "them, else unseen names of the same styles.",
            RECORDED,
        ),
        "Measure",
    )


def _rows(evidence: Mapping[str, Any]) -> tuple[Row, ...]:
    accuracy, distance = evidence["accuracy_trained_on"], evidence["kernel_distance_to_training"]
    nearest, psnr = evidence["nearest_training_image"], evidence["autoencoder_psnr_db"]

    def row(id: str, label: str, *cells: str) -> Row:
        return Row(id, label, tuple(map(Cell, cells)))

    def per_cent(value: float) -> str:
        return f"{100 * value:.1f} %"

    generated, real = accuracy["generated"], accuracy["real"]
    return (
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
        row("time", "Time for an image", f"{evidence['seconds_per_image']:.2f} s", "–"),
    )
