"""The foundation model's losses, as they are recorded with its weights."""

from pathlib import Path

import matplotlib
import pandas as pd

from fedgenbench.core.files import read_json
from fedgenbench.report.figures import BLUE, ORANGE, STYLE, Figure, finish, lay_out
from fedgenbench.report.results import Results
from fedgenbench.systems.foundation.record import FOLDER, recorded


def figures(_results: Results) -> list[Figure]:
    """The losses of the model of this repository, whichever runs there are."""
    return [history_figure(FOLDER)] if recorded() else []


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
