"""The figures of FedLMG: guided images beside unguided ones, the guidance's losses, and set sizes."""

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator

from fedgenbench.reporting.fedlmg import (
    ABLATIONS,
    CONTROLS,
    OTHERS,
    SHORT,
    accuracies,
    losses,
    served,
    setup,
    shown_guided,
    sized,
)
from fedgenbench.reporting.figures import (
    BLUE,
    BROKEN,
    DOTTED,
    GREY,
    ORANGE,
    STYLE,
    Figure,
    finish,
    lay_out,
    level,
    line,
)
from fedgenbench.reporting.results import Results

GUIDANCE = {"prompts": "prompts alone", "main": "guided"} | ABLATIONS
CLIENTS, CLASSES = 2, 10  # at most: what a page holds


def fedlmg_figures(results: Results) -> list[Figure]:
    """All that the jobs at hand can fill, in the order of the report."""
    drawn = []
    for experiment in served(results, "feature skew"):
        if len(shown_guided(results, experiment)) > 1:
            drawn.append(guided_images(results, experiment))
        drawn.append(guidance_losses(results, experiment))
        if len(sized(results, experiment, "fedlmg_ft").columns) > 1:
            drawn.append(by_size(results, experiment))
    return drawn


@matplotlib.rc_context(STYLE)
def guided_images(results: Results, experiment: str) -> Figure:
    """Images from the same noise under each guidance: a panel per client, a column per class."""
    from fedgenbench.diffusion.images import load_images

    pictures, here = shown_guided(results, experiment), setup(results, experiment)
    sheets: dict[int, list[np.ndarray]] = {}
    heads: dict[int, list[str]] = {}
    for picture in pictures:
        images, labels, style = load_images(picture.path)
        for client in np.unique(style)[:CLIENTS].tolist():
            own = np.unique(labels[style == client])[:CLASSES].tolist()
            # The first image of a client and class has the same noise under every guidance.
            first = [np.flatnonzero((style == client) & (labels == label))[0] for label in own]
            sheets.setdefault(client, []).append(np.concatenate(images[first], axis=1))
            heads[client] = [here["classes"][label] for label in own]
    rows, edge = len(pictures), next(iter(sheets.values()))[0].shape[0]
    columns = max(map(len, heads.values()))
    drawing, panels = lay_out(
        len(sheets), 1, width=0.5 * columns, height=0.5 * rows, left=1.55, right=0.15
    )
    for axes, (client, strips) in zip(panels, sheets.items(), strict=True):
        axes.imshow(np.concatenate(strips), interpolation="nearest", aspect="auto")
        axes.set_title(here["names"][client])
        axes.set_yticks(
            [edge * (row + 0.5) for row in range(rows)],
            [GUIDANCE[picture.name] for picture in pictures],
        )
        names = heads[client]
        axes.set_xticks(
            [edge * (column + 0.5) for column in range(len(names))], names, fontsize=5.5
        )
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
    return Figure(
        f"fedlmg_guided_{experiment}",
        f"{results.experiments[experiment]['title']}, seed {pictures[0].seed}: images of the server "
        "from the same noise, by guidance. Each panel is under guidance of the classifier of the "
        "client that it names; the prompt names the class alone, so prompts alone differ between "
        "panels in the noise only. The first image of each client and class, unselected.",
        drawing,
    )


@matplotlib.rc_context(STYLE)
def guidance_losses(results: Results, experiment: str) -> Figure:
    """Both losses at each gradient, mean over all images: a thin line per seed."""
    drawing, panels = lay_out(2, 2, width=2.3, height=1.7, right=0.3)
    editing = setup(results, experiment)["guidance"]["editing_steps"]
    words = {"cross_entropy": "Cross-entropy", "batch_norm": "Batch-norm loss"}
    for axes, (quantity, title) in zip(panels, words.items(), strict=True):
        table = losses(results, experiment, quantity)
        steps = table.columns + 1
        for _, values in table.iterrows():
            axes.plot(steps, values, color=BLUE, linewidth=0.5, alpha=0.5)
        axes.plot(steps, table.mean(), color=BLUE, linewidth=1.8, marker="o", markersize=3)
        if editing:
            axes.axvline(editing + 0.5, color=GREY, linewidth=0.8, linestyle=BROKEN)
            axes.annotate(
                " editing ends", (editing + 0.5, 1), xycoords=("data", "axes fraction"),
                va="top", fontsize=6.5, color=GREY,
            )  # fmt: skip
        axes.set(title=title, xlabel="Gradient", ylim=(0, 1.15 * table.max().max()))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return Figure(
        f"fedlmg_losses_{experiment}",
        f"{results.experiments[experiment]['title']}: what the clients' classifiers make of the image "
        "that the latent promises, before each step down the gradient; mean over all images. Thin: "
        "seeds; bold: their mean. First the noise is edited, then there is a gradient before each "
        "denoising step. The batch-norm loss is shown without its weight λ.",
        drawing,
    )


@matplotlib.rc_context(STYLE)
def by_size(results: Results, experiment: str) -> Figure:
    """Mean accuracy by number of images per client and class."""
    drawing, (axes,) = lay_out(1, 1, width=3.0, height=2.0, right=1.6)
    labels = []
    for way, colour in (("fedlmg_ft", ORANGE), ("fedlmg_sd", BLUE)):
        table = 100 * sized(results, experiment, way)
        labels.append(line(axes, results, table, f"FedLMG, {SHORT[way]}", colour))
    finals = 100 * accuracies(results, experiment).mean()
    for row, words, dashes in (
        ("prompts", OTHERS["prompts"], DOTTED),
        ("ceiling", CONTROLS["ceiling"], BROKEN),
    ):
        if row in finals:
            labels.append(level(axes, finals[row], words, dashes))
    axes.set(xlabel="Images per client and class", ylabel="Accuracy (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish(axes, labels)
    return Figure(
        f"fedlmg_sizes_{experiment}",
        f"{results.experiments[experiment]['title']}: accuracy by number of guided images, mean and "
        f"{results.level} t-interval over seeds. Prompts alone: with all of its images.",
        drawing,
    )
