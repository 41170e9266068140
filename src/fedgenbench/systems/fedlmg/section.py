"""The report's section on FedLMG, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fedgenbench.core.wording import counted
from fedgenbench.report.results import Results, distinct
from fedgenbench.report.section import Illustration, Section
from fedgenbench.report.words import absences, difference, listed, worth
from fedgenbench.systems.fedlmg.numbers import (
    ABLATIONS,
    LABELS,
    OTHERS,
    absent,
    accuracies,
    beside_ablations,
    changed,
    experiments_of,
    setup,
)
from fedgenbench.systems.fedlmg.published import FedLMGPublished, fedlmg_published
from fedgenbench.systems.fedlmg.tables import tables

SHORT = {"fedlmg_ft": "FT", "fedlmg_md": "MD", "fedlmg_sd": "SD"}
# Budgets that a scale may cut, and the sheet's own (§4).
SHEET = {
    "editing_steps": ("editing steps", 10),
    "steps": ("denoising steps", 50),
    "per_class": ("images per client and class", 30),
}


def section(results: Results, figures: Sequence[Illustration]) -> Section:
    """The part of the report on FedLMG."""
    return Section(
        title="FedLMG: images drawn under guidance of the clients' classifiers",
        text=text(results),
        bullets=bullets(results, fedlmg_published()),
        tables=tables(results),
        figures=figures,
    )


def text(results: Results) -> str:
    """What was run, and what it shows; paragraphs parted by blank lines."""
    experiments = experiments_of(results)
    if not experiments:
        return "FedLMG has not been run at this scale."
    paragraphs = [_what_was_run(results, experiments)]
    paragraphs += [_what_it_shows(results, experiment) for experiment in experiments]
    return "\n\n".join(paragraphs)


def _what_was_run(results: Results, experiments: Sequence[str]) -> str:
    seeds = results.fedlmg["seed"].nunique()
    titles = [results.experiments[experiment]["title"] for experiment in experiments]
    sentences = [
        "In FedLMG each client sends its classifier, once, and nothing else. A diffusion model on the "
        "server draws images of every class that a client holds; its noise is edited and each of "
        "its steps bent so that the client's classifier sees the class and, in its batch-norm "
        "statistics, the client's images. One model is trained on the images of all clients: on their "
        "labels (fine-tuning, FT), on the mean of all classifiers too (multi-teacher, MD), or on "
        "the classifier that guided the image (specific teacher, SD). It was run on "
        f"{listed(titles)}, with {counted(seeds, 'seed')} at "
        f"{' and '.join(distinct(results.runs, 'scale'))} scale."
    ]
    for reason, titles in absences(absent(results).values()).items():
        sentences.append(f"Without results here ({reason}): {listed(titles)}.")
    sentences.append(
        "Prompts alone is the same noise and sampler without guidance. FGL, FedDISC and FedDEO draw as "
        "many images in as many steps, the first and the last from that noise too; DENSE has a generator "
        "and a training of its own (docs/guidance.md). Every row starts from the same "
        "weights, and each score is that of the last epoch. The ceiling is trained on all "
        "clients' images, as the server's model is and with its head alone: papers/fedlmg.md §8 "
        "tells by these two how the paper trained its own."
    )
    return " ".join(sentences)


def _what_it_shows(results: Results, experiment: str) -> str:
    """Guidance, ways of training and parts of guidance in one experiment."""
    table = accuracies(results, experiment)
    compared: list[tuple[Any, ...]] = [
        (f"guidance ({short} − {label})", table, way, table, other)
        for way, short in SHORT.items()
        for other, label in {"prompts": "prompts alone"}.items()
    ]
    for other in OTHERS:
        if other in ("prompts", "fedprox"):
            continue  # the first stands above, the second is FedAvg's twin in one round
        compared.append((f"SD − {LABELS[other]}", table, "fedlmg_sd", table, other))
    compared.append(("the guiding teacher (SD − FT)", table, "fedlmg_sd", table, "fedlmg_ft"))
    if ablations := setup(results, experiment)["ablations"]:
        full = beside_ablations(results, experiment)
        for name in ablations:
            words = changed(results, experiment, name)
            what = f"SD − SD {words if name in ABLATIONS else f'with {words}'}"
            compared.append((what, full, "fedlmg_sd", accuracies(results, experiment, name)))
    sentences = [
        sentence
        for what, a, row, b, *other in compared
        if (sentence := _worth(results, what, a, row, b, *(other or [row])))
    ]
    return f"{results.experiments[experiment]['title']}. {' '.join(sentences)}"


def _worth(
    results: Results, what: str, a: pd.DataFrame, row: str, b: pd.DataFrame, other: str
) -> str:
    """A sentence about ``row`` of a − ``other`` of b; empty where one of them is not there."""
    gain = difference(results, a[row], b[other]) if row in a and other in b else None
    return worth(what, gain)


def bullets(results: Results, published: FedLMGPublished) -> list[str]:
    """What is published, what this scale cuts, and what is not there."""
    numbers = [t.number for t in published.tables if t.number != "v1"]
    tables = listed(list(dict.fromkeys(numbers)))
    rows = sum(len(table.rows) for table in published.tables)
    unknown = list(dict.fromkeys(name for cell in published.cells for name in cell.settings))
    said = [
        f"Published: Tables {tables} of the ICML version and version 1's first, {rows} rows.",
        *([f"No cell is at hand of: {listed(unknown)}."] if unknown else []),
        *(f"{f.text} ({f.status}; {f.source})" for f in published.figures),
    ]
    cuts: dict[str, list[str]] = {}
    for experiment in experiments_of(results):
        if words := _cut(setup(results, experiment)):
            cuts.setdefault(words, []).append(results.experiments[experiment]["title"])
    said += [f"Cut for {listed(titles)}: {words}." for words, titles in cuts.items()]
    return said


def _cut(here: Mapping[str, Any]) -> str:
    """What an experiment does less of than the sheet; empty where nothing."""
    done = {"editing_steps": here["guidance"]["editing_steps"], **here["drawn"]}
    less = [
        f"{words} {done[key]} (the sheet: {asked})"
        for key, (words, asked) in SHEET.items()
        if done[key] != asked
    ]
    base = here["drawn"]["base"]
    drawn = f"; drawn by {base['source']} at {base['resolution']}×{base['resolution']} pixels"
    return ", ".join(less) + drawn if less else ""
