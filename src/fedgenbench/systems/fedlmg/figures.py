"""The figures of FedLMG: guided images beside others, edited noise, losses of guidance, set sizes."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator

from fedgenbench.core.wording import counted
from fedgenbench.images.generated import load_images
from fedgenbench.report.figures import (
    BLUE,
    BROKEN,
    COLOURS,
    GREY,
    ORANGE,
    STYLE,
    Figure,
    finish,
    lay_out,
    level,
    line,
)
from fedgenbench.report.results import Results
from fedgenbench.systems.fedlmg.numbers import (
    ABLATIONS,
    CONTROLS,
    OTHERS,
    accuracies,
    experiments_of,
    losses,
    setup,
    shown_guided,
    sized,
    trials,
)

GUIDANCE = {"prompts": "prompts alone", "main": "guided"} | ABLATIONS
GUIDANCE |= {name: OTHERS[name] for name in ("fgl", "feddisc", "feddeo")}
CLIENTS, CLASSES = 2, 10  # at most: what a page holds


def figures(results: Results) -> list[Figure]:
    """All that the jobs at hand can fill, in the order of the report."""
    experiments = sorted(experiments_of(results, "feature skew"))
    shown = {e: {picture.name for picture in shown_guided(results, e)} for e in experiments}
    sizes = {e: len(sized(results, e, "fedlmg_ft").columns) for e in experiments}
    return [
        *(guided_images(results, e) for e in experiments if len(shown[e]) > 1),
        *(edited_noise(results, e) for e in experiments if shown[e] >= {"no_editing", "main"}),
        *(guidance_losses(results, experiment) for experiment in experiments),
        *(tried_editing(results, e) for e in experiments if len(trials(results, e))),
        *(by_size(results, e) for e in experiments if sizes[e] > 1),
    ]


# A row of pictures: its label, images uint8 [m, H, W, 3], their labels and clients [m].
_Strip = tuple[str, np.ndarray, np.ndarray, np.ndarray]


@matplotlib.rc_context(STYLE)
def guided_images(results: Results, experiment: str) -> Figure:
    """Images from the same noise under each guidance: a panel per client, a column per class."""
    pictures = shown_guided(results, experiment)
    strips = []
    for picture in pictures:
        images, labels, style = load_images(picture.path)
        strips.append((GUIDANCE[picture.name], images[:, 0], labels, style))
    return Figure(
        f"fedlmg_guided_{experiment}",
        f"{results.experiments[experiment]['title']}, seed {pictures[0].seed}: images of the server "
        "from the same noise, by guidance or method; FedDISC has a model and noise of its own. Each "
        "panel is for the client that it names; the prompt names the class alone, so prompts alone "
        "differ between panels in the noise only. The first image of each client and class, unselected.",
        _panels(results, experiment, strips),
    )


@matplotlib.rc_context(STYLE)
def edited_noise(results: Results, experiment: str) -> Figure:
    """What the initial noise promises before and after its editing, and the images that come of it."""
    pictures = {picture.name: picture for picture in shown_guided(results, experiment)}
    plain, main = (load_images(pictures[name].path) for name in ("no_editing", "main"))
    steps = setup(results, experiment)["guidance"]["editing_steps"]
    strips = [
        ("promise of the noise", main[0][:, 1], *main[1:]),
        (f"promise after {counted(steps, 'step')}", main[0][:, 2], *main[1:]),
        ("image, noise as it is", plain[0][:, 0], *plain[1:]),
        ("image, noise edited", main[0][:, 0], *main[1:]),
    ]
    return Figure(
        f"fedlmg_editing_{experiment}",
        f"{results.experiments[experiment]['title']}, seed {pictures['main'].seed}: editing of the "
        "initial noise. Above, the image that the diffusion model expects of the noise alone, before "
        "and after editing; below, the guided images that are drawn from either. The first image of "
        "each client and class, unselected.",
        _panels(results, experiment, strips),
    )


def _panels(results: Results, experiment: str, strips: list[_Strip]) -> Drawing:
    """A panel per client, a row per strip, a column per class that the client holds."""
    here = setup(results, experiment)
    clients = np.unique(strips[0][3])
    # Neighbours are often alike: some from all along the list.
    clients = clients[:: -(-len(clients) // CLIENTS)].tolist()
    sheets, heads = [], []
    for client in clients:
        held = np.unique(strips[0][2][strips[0][3] == client])[:CLASSES].tolist()
        heads.append([here["classes"][label] for label in held])
        rows = []
        for _, images, labels, style in strips:
            first = [np.flatnonzero((style == client) & (labels == label))[0] for label in held]
            rows.append(np.concatenate(images[first], axis=1))
        sheets.append(np.concatenate(rows))
    edge = strips[0][1].shape[1]
    columns = max(map(len, heads))
    drawing, panels = lay_out(
        len(sheets), 1, width=0.5 * columns, height=0.5 * len(strips), left=1.55, right=0.15
    )
    for axes, client, sheet, names in zip(panels, clients, sheets, heads, strict=True):
        axes.imshow(sheet, interpolation="nearest", aspect="auto")
        axes.set_title(here["names"][client])
        axes.set_yticks(
            [edge * (row + 0.5) for row in range(len(strips))], [strip[0] for strip in strips]
        )
        axes.set_xticks(
            [edge * (column + 0.5) for column in range(len(names))], names, fontsize=5.5
        )
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
    return drawing


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
def tried_editing(results: Results, experiment: str) -> Figure:
    """Both losses of finished images by number of editing steps: a line per size of a step."""
    drawing, panels = lay_out(2, 2, width=2.2, height=1.7, right=0.8)
    tried = trials(results, experiment)
    without = tried.loc["", 0]
    words = {"cross_entropy": "Cross-entropy", "batch_norm": "Batch-norm loss"}
    for axes, (quantity, title) in zip(panels, words.items(), strict=True):
        labels = []
        sizes = [size for size in dict.fromkeys(tried.index.get_level_values(0)) if size]
        for size, colour in zip(sizes, COLOURS, strict=False):
            values = pd.concat([pd.Series({0: without[quantity]}), tried.loc[size, quantity]])
            axes.plot(values.index, values, color=colour, marker="o", markersize=3)
            labels.append((values.iloc[-1], f"η = {size}", colour))
        axes.set(title=title, xlabel="Editing steps M")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        finish(axes, labels)
    return Figure(
        f"fedlmg_trials_{experiment}",
        f"{results.experiments[experiment]['title']}: losses of the finished images by number and size "
        "of editing steps, guidance in the denoising steps alike, in the first repetition. On the left "
        "of each panel the noise is not edited.",
        drawing,
    )


@matplotlib.rc_context(STYLE)
def by_size(results: Results, experiment: str) -> Figure:
    """Mean accuracy by number of images per client and class."""
    drawing, (axes,) = lay_out(1, 1, width=3.0, height=2.0, right=1.6)
    labels = []
    for way, words, colour in (
        ("prompts", OTHERS["prompts"], GREY),
        ("fedlmg_ft", "FedLMG, FT", ORANGE),
        ("fedlmg_sd", "FedLMG, SD", BLUE),
    ):
        table = 100 * sized(results, experiment, way)
        if len(table.columns) > 1:
            labels.append(line(axes, results, table, words, colour))
    finals = 100 * accuracies(results, experiment).mean()
    if "ceiling" in finals:
        labels.append(level(axes, finals["ceiling"], CONTROLS["ceiling"], BROKEN))
    axes.set(xlabel="Images per client and class", ylabel="Accuracy (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish(axes, labels)
    return Figure(
        f"fedlmg_sizes_{experiment}",
        f"{results.experiments[experiment]['title']}: accuracy by number of guided images, mean and "
        f"{results.level} t-interval over seeds. Prompts alone: from the same noise, unguided.",
        drawing,
    )
