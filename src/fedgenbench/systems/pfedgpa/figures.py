"""The figures of pFedGPA: what generation does in the rounds, in one shot, and to new clients.

Colours stand for quantities and settings here, not for methods; references are grey.
"""

from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fedgenbench.report.figures import (
    BLUE,
    BROKEN,
    COLOURS,
    DOTTED,
    GREEN,
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
from fedgenbench.systems.pfedgpa.numbers import (
    PFEDGPA,
    SIMPLER,
    by_local_round,
    by_round,
    newcomers,
    one_shot,
    played,
)
from fedgenbench.systems.pfedgpa.study_settings import ARMS

# The inversion rule whose η and start step are swept.
SWEPT = "dpm_encoder"
REFERENCES = {"own": "own upload", "mean": "FedAvg mean"}
DASHES = {"own": BROKEN, "mean": DOTTED}

# Title, unit, names in the server's report with words and colour, and values to read them by.
_PANELS: tuple[tuple[str, str, dict[str, tuple[str, str]], dict[int, str]], ...] = (
    (
        "Weights moved",
        "% of the way to the mean",
        {"moved": ("moved", BLUE)},
        {0: "own upload", 1: "as far as the mean"},
    ),
    (
        "Own upload is the nearest",
        "% of clients",
        {"own": ("own nearest", BLUE)},
        {0: "none", 1: "all"},
    ),
    (
        "Gap to the nearest upload",
        "in units of spread",
        {"gap": ("gap", BLUE)},
        {0: "a copy", 1: "spread of uploads"},
    ),
    (
        "Autoencoder",
        "%",
        {
            "trained": ("test, as trained", BLUE),
            "reconstructed": ("test, rebuilt", ORANGE),
            "reconstruction": ("training acc. kept", GREEN),
        },
        {},
    ),
    (
        "Denoising loss",
        "mean squared error",
        {
            "loss": ("in use", BLUE),
            "seen_loss": ("twin, seen clients", GREEN),
            "held_out_loss": ("twin, unseen client", ORANGE),
        },
        {1: "nothing learnt"},
    ),
)


def figures(results: Results) -> list[Figure]:
    """All that the runs and studies at hand can fill, in the order of the report."""
    generating = [e for e in played(results) if "moved" in by_round(results, e, PFEDGPA)]
    swept = [e for e in results.experiments if _swept(results, e)]
    return [
        *(diagnostics(results, experiment) for experiment in sorted(generating)),
        *(eta_sweep(results, experiment) for experiment in sorted(swept)),
        *(newcomer_curves(results, e) for e in sorted(set(results.newcomers["experiment"]))),
    ]


@matplotlib.rc_context(STYLE)
def diagnostics(results: Results, experiment: str) -> Figure:
    """Is generation aggregation, a copy, or nothing at all? A panel per quantity, by round."""
    frame = by_round(results, experiment, PFEDGPA)
    # Without an autoencoder nothing stands between the weights and the denoiser.
    contents = [p for p in _PANELS if p[0] != "Autoencoder" or "reconstructed" in frame]
    drawing, panels = lay_out(1 + len(contents), 2, width=1.75, height=1.25, right=1.4)
    for axes in panels:
        axes.set(xlim=(0, frame.index.get_level_values("round").max()), xlabel="Round")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _before_and_after(panels[0], results, experiment, frame)
    for axes, (title, unit, lines, marks) in zip(panels[1:], contents, strict=True):
        scale = 100 if unit.startswith("%") else 1
        axes.set(title=title, ylabel=unit)
        labels = [
            line(axes, results, scale * frame[name].unstack("round"), words, colour)
            for name, (words, colour) in lines.items()
            if name in frame
        ]
        labels += [level(axes, scale * mark, words, BROKEN) for mark, words in marks.items()]
        finish(axes, labels)
    return Figure(
        f"pfedgpa_diagnostics_{experiment}",
        f"{results.experiments[experiment]['title']}: what generation does, by round; mean and "
        f"{results.level} t-interval over seeds. Accuracy: the line is pFedGPA after local training; "
        "open circles are the same clients right after generation; grey are runs in which the client's "
        "own upload or FedAvg's mean is sent instead. How to read it: generation does nothing where the "
        "circles lie on the line, the line on the one of the own upload, and the weights move by 0. It "
        "copies where the gap is 0. It is averaging in disguise where the weights move as far as the "
        "mean and the line follows the one of FedAvg's mean. The server knows the uploads by heart, and "
        "no density, where the loss of an unseen client is far above that of the seen ones.",
        drawing,
    )


def _before_and_after(axes: Axes, results: Results, experiment: str, frame: pd.DataFrame) -> None:
    """pFedGPA's accuracy before and after each generation, between the runs without any."""
    axes.set(title="Accuracy", ylabel="%")
    labels = []
    for key, method in zip(REFERENCES, SIMPLER, strict=True):
        other = by_round(results, experiment, method)
        if not other.empty:
            table = 100 * other["trained"].unstack("round")
            labels.append(line(axes, results, table, REFERENCES[key], GREY, DASHES[key]))
    trained = 100 * frame["trained"].unstack("round")
    labels.append(line(axes, results, trained, "pFedGPA, trained", BLUE))
    generated = 100 * frame["generated"].dropna().groupby("round").mean()
    before = trained.mean()[generated.index]
    axes.vlines(generated.index, generated, before, color=ORANGE, linewidth=0.7, clip_on=False)
    axes.plot(generated, "o", **_open(ORANGE))
    labels.append((generated.iloc[-1], "generated", ORANGE))
    finish(axes, labels)


@matplotlib.rc_context(STYLE)
def eta_sweep(results: Results, experiment: str) -> Figure:
    """Accuracy after generation and training, and the way moved, against η: a row per fit."""
    metrics = {
        "generated": ("Right after generation", "Accuracy (%)"),
        "trained": ("After local training", "Accuracy (%)"),
        "moved": ("Weights moved", "% of the way to the mean"),
    }
    fits = _swept(results, experiment)
    drawing, panels = lay_out(3 * len(fits), 3, width=1.15, height=1.35, right=0.8)
    for row, fit in enumerate(fits):
        settings = list(one_shot(results, experiment, fit))
        swept = [(eta, start, seeds) for rule, eta, start, seeds in settings if rule == SWEPT]
        starts = sorted({start for _, start, _ in swept})
        for axes, (metric, (title, unit)) in zip(panels[3 * row :], metrics.items(), strict=False):
            axes.set(title=f"{title}, {fit}", xlabel="η", ylabel=unit)
            labels = [
                level(axes, 100 * seeds[metric].mean(), REFERENCES[rule], DASHES[rule])
                for rule, _, _, seeds in settings
                if rule in REFERENCES
            ]
            for start, colour in zip(starts, COLOURS, strict=False):
                lines = {eta: seeds[metric] for eta, other, seeds in swept if other == start}
                table = 100 * pd.DataFrame(lines).sort_index(axis="columns")
                labels.append(line(axes, results, table, f"start {start:.0f}", colour))
                # Not every start was tried up to the last η: dots lead to the label.
                ends = [table.columns[-1], max(eta for eta, _, _ in swept)]
                axes.plot(ends, [labels[-1][0]] * 2, ":", color=colour)
            finish(axes, labels)
    return Figure(
        f"pfedgpa_eta_{experiment}",
        f"{results.experiments[experiment]['title']}: one generation from saved uploads by the "
        "DPM-Encoder, its recovered noises scaled by η, from several start steps; mean and "
        f"{results.level} t-interval over seeds, a row per fitted server model. η = 1 is the literal "
        "inversion, which returns the upload. Grey: the upload itself (dashed) and FedAvg's mean of all "
        "uploads (dotted) in its place.",
        drawing,
    )


def _swept(results: Results, experiment: str) -> list[str]:
    """The fits of the one-shot study that were tried with more than one η."""
    frame = results.weights
    frame = frame[(frame["experiment"] == experiment) & (frame["rule"] == SWEPT)]
    counts = frame.groupby("fit", sort=False)["eta"].nunique()
    return list(counts.index[counts > 1])


@matplotlib.rc_context(STYLE)
def newcomer_curves(results: Results, experiment: str) -> Figure:
    """Accuracy of new clients by local round and arm, and by strength and sign of guidance."""
    assert results.newcomer_main is not None  # where there are newcomers
    steps, omega = results.newcomer_main
    colours = dict(zip(ARMS, (GREY, *COLOURS), strict=False))
    main = newcomers(results, experiment, main=True)
    drawing, (curves, guidance) = lay_out(2, 2, width=1.75, height=2.0, right=1.45)
    labels = []
    for arm in (arm for arm in ARMS if (main["arm"] == arm).any()):
        of_arm = main[main["arm"] == arm]
        table = 100 * by_local_round(of_arm, "trained")
        labels.append(line(curves, results, table, ARMS[arm], colours[arm]))
        generated = 100 * by_local_round(of_arm, "generated")
        curves.plot(generated.mean(), "o", **_open(colours[arm]))
    curves.set(title="By local round", xlabel="Local round", ylabel="Accuracy (%)")
    curves.set_xlim(0, main["round"].max())
    curves.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish(curves, labels)

    frame = newcomers(results, experiment, main=False)
    end = frame.loc[frame["stage"] == "generated", "round"].max()
    frame = frame[frame["round"] == end]
    scratch = 100 * frame.loc[frame["arm"] == "local", "value"].mean()
    labels = [level(guidance, scratch, ARMS["local"], BROKEN)]
    frame = frame[frame["stage"] == "generated"]
    # ω = -1 takes the guidance away, whichever its sign.
    frame = frame.assign(omega=frame["omega"].mask(frame["arm"] == "unguided", -1.0))
    dashes = dict(zip(sorted(frame["steps"].unique()), ("-", BROKEN, DOTTED), strict=False))
    for arm, words in (("guided", "guided"), ("guided_printed", "printed sign")):
        for count, style in dashes.items():
            of_arm = frame[frame["arm"].isin(["unguided", arm]) & (frame["steps"] == count)]
            table = 100 * of_arm.pivot(index="seed", columns="omega", values="value")
            label = f"{words}, {count:.0f} steps"
            labels.append(line(guidance, results, table, label, colours[arm], style))
    guidance.set(title="Strength and sign", xlabel="ω (−1: none)", ylabel="Accuracy (%)")
    finish(guidance, labels)
    return Figure(
        f"pfedgpa_newcomers_{experiment}",
        f"{results.experiments[experiment]['title']}: clients that join after the last round; mean and "
        f"{results.level} t-interval over seeds. Left: after each local training (lines) and right "
        f"after generation (open circles), with {steps} denoising steps and guidance ω = {omega:g}. "
        f"Right: right after the last generation, in local round {end}, by strength, sign and number "
        "of denoising steps; grey: clients that trained from scratch for as many rounds. A client whose "
        "weights diverged counts as 0.",
        drawing,
    )


def _open(colour: str) -> dict[str, Any]:
    """An open circle."""
    edge = {"markeredgecolor": colour, "markeredgewidth": 1.0, "markerfacecolor": "white"}
    return {"markersize": 4.5, "clip_on": False, "zorder": 3, **edge}
