"""The report's section on FedLMG, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from fedgenbench.core.wording import counted
from fedgenbench.report.answers import Answer
from fedgenbench.report.forest import Effect, Forest
from fedgenbench.report.results import Results, distinct
from fedgenbench.report.section import Illustration, Section
from fedgenbench.report.statistics import Interval
from fedgenbench.report.words import difference, listed, signed
from fedgenbench.systems.fedlmg.contact import contact_sheets
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
    "total_per_class": ("images of a class in all", 180),
}


def section(results: Results, figures: Sequence[Illustration]) -> Section:
    """The part of the report on FedLMG."""
    return Section(
        title="FedLMG: images drawn under guidance of the clients' classifiers",
        text=text(results),
        bullets=bullets(results, fedlmg_published()),
        tables=tables(results),
        figures=figures,
        sheets=contact_sheets(results),
        forests=[effects(results, experiment) for experiment in experiments_of(results)],
        answer=answer(results),
        absent=list(absent(results).values()),
        name="fedlmg",
    )


def answer(results: Results) -> Answer:
    """Does guidance beat prompts?"""
    return Answer.of(
        "Do images guided by clients' classifiers beat images from prompts alone?",
        differences(results, "prompts"),
        "Under feature skew the specific teacher's model is {} from prompts alone.",
        (
            ("{} from FedAvg in rounds", differences(results, "fedavg")),
            ("{} from the ceiling", differences(results, "ceiling")),
        ),
        lead="It is ",
    )


def differences(results: Results, other: str) -> dict[str, Interval | None]:
    """Title -> SD − ``other`` under feature skew, where both are there."""
    return {
        results.experiments[e]["title"]: difference(results, table["fedlmg_sd"], table[other])
        for e in experiments_of(results, "feature skew")
        if {"fedlmg_sd", other} <= set(table := accuracies(results, e))
    }


def text(results: Results) -> str:
    """What was run, and what it shows; paragraphs parted by blank lines."""
    experiments = experiments_of(results)
    if not experiments:
        return "FedLMG has not been run at this scale."
    paragraphs = [_what_was_run(results, experiments)]
    paragraphs += [
        said for experiment in experiments if (said := _what_shifts(results, experiment))
    ]
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
    sentences.append(
        "Prompts alone is the same noise and sampler without guidance. FGL, FedDISC and FedDEO draw as "
        "many images in as many steps, the first and the last from that noise too; DENSE has a generator "
        "and a training of its own (docs/guidance.md). Every row starts from the same "
        "weights, and each score is that of the last epoch. The ceiling is trained on all "
        "clients' images, as the server's model is and with its head alone: papers/fedlmg.md §8 "
        "tells by these two how the paper trained its own."
    )
    return " ".join(sentences)


def _what_shifts(results: Results, experiment: str) -> str:
    """What the others' uploads are worth on a domain that none is of; empty where it was not asked."""
    table = accuracies(results, experiment)
    if "unseen_sd" not in table or "prompts" not in table:
        return ""
    own, plain, ensemble = (
        difference(results, table[row], table["unseen_sd"])
        for row in ("fedlmg_sd", "prompts", "unseen_ensemble")
    )
    if own is None or plain is None or ensemble is None:
        return ""
    return (
        f"{results.experiments[experiment]['title']}. On the domain of a client that sent nothing, the "
        "specific teacher's model of the others' uploads is the reference: with the client's own upload "
        f"its model differs by {signed(own)} points, prompts alone by {signed(plain)}, and the mean of "
        f"the others' classifiers, without images, by {signed(ensemble)}."
    )


def effects(results: Results, experiment: str) -> Forest:
    """Guidance, ways of training and parts of guidance in one experiment."""
    table = accuracies(results, experiment)
    compared: list[tuple[Any, ...]] = [
        (f"Guidance ({short} − prompts alone)", table, way, table, "prompts")
        for way, short in SHORT.items()
    ]
    for other in OTHERS:
        if other == "prompts":
            continue  # it stands above
        compared.append((f"SD − {LABELS[other]}", table, "fedlmg_sd", table, other))
    compared.append(("The guiding teacher (SD − FT)", table, "fedlmg_sd", table, "fedlmg_ft"))
    shifted = "On a domain that no upload is of (SD of the others − prompts alone)"
    compared.append((shifted, table, "unseen_sd", table, "prompts"))
    if ablations := setup(results, experiment)["ablations"]:
        full = beside_ablations(results, experiment)
        for name in ablations:
            words = changed(results, experiment, name)
            label = f"SD − SD {words if name in ABLATIONS else f'with {words}'}"
            other_table = accuracies(results, experiment, name)
            compared.append((label, full, "fedlmg_sd", other_table, "fedlmg_sd"))
    return Forest(
        f"fedlmg-{experiment}",
        f"{results.experiments[experiment]['title']}: what each part is worth, accuracy in points. "
        "▲ significantly above, ▼ below; without a mark: no significant difference.",
        [
            Effect.of_shares(label, difference(results, a[row], b[other]))
            for label, a, row, b, other in compared
            if row in a and other in b
        ],
    )


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
    unsaid = "per_class" if done["total_per_class"] else "total_per_class"
    less = [
        f"{words} {done[key]} (the sheet: {asked})"
        for key, (words, asked) in SHEET.items()
        if done[key] != asked and key != unsaid
    ]
    base = here["drawn"]["base"]
    drawn = f"; drawn by {base['source']} at {base['resolution']}×{base['resolution']} pixels"
    return ", ".join(less) + drawn if less else ""
