"""The report's section on WarmFed, in words."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fedgenbench.core.wording import counted
from fedgenbench.report.answers import Answer
from fedgenbench.report.forest import Effect, Forest
from fedgenbench.report.notes import alone_is_best
from fedgenbench.report.published_tables import published_bullets
from fedgenbench.report.results import Picture, Results, distinct
from fedgenbench.report.section import Illustration, Section, read_sheet
from fedgenbench.report.statistics import Interval
from fedgenbench.report.words import difference, listed
from fedgenbench.systems.warmfed.contact import contact_sheets
from fedgenbench.systems.warmfed.numbers import (
    WARMFED,
    absent,
    adapters_learnt,
    adapters_tried,
    client_names,
    collapses,
    mask_varies,
    one_shot,
    played,
)
from fedgenbench.systems.warmfed.tables import stated, tables


def section(results: Results, figures: Sequence[Illustration]) -> Section:
    """The part of the report on WarmFed."""
    sheets = [
        read_sheet(
            *(Path(p.path), f"warmfed_{p.name}_{p.experiment}", picture_caption(results, p)),
            *row_labels(results, p),
        )
        for p in results.pictures
        if p.path.endswith(".png")
    ]
    return Section(
        title="WarmFed: a warm start from clients' adapters, and self-distillation",
        text=text(results),
        bullets=published_bullets(stated()),
        tables=tables(results),
        figures=figures,
        sheets=contact_sheets(results),
        printed=sheets,
        forests=[effects(results, experiment) for experiment in played(results)],
        answer=answer(results),
        absent=list(absent(results).values()),
        name="warmfed",
    )


def answer(results: Results) -> Answer:
    """Does the warm start help?"""
    return Answer.of(
        "Does a warm start from clients' adapters help?",
        differences(results, one_shot, "fedavg_warm", "fedavg"),
        "One-shot, it moves FedAvg's global model by {}.",
        (
            (
                "After the last round WarmFed differs from FedAvg by {}",
                differences(results, Results.by_seed, WARMFED, "fedavg"),
            ),
            (
                "one-shot its images differ in worth from those of prompts alone (FGL) by {}",
                differences(results, one_shot, WARMFED, "fgl"),
            ),
        ),
    )


def differences(
    results: Results, scores: Callable[..., pd.DataFrame], a: str, b: str
) -> dict[str, Interval | None]:
    """Title -> ``a − b`` of the global model, where both were run."""
    return {
        results.experiments[e]["title"]: difference(results, table[a], table[b])
        for e in played(results)
        if {a, b} <= set(table := scores(results, e, "global"))
    }


def text(results: Results) -> str:
    """What was run, and what it shows; paragraphs parted by blank lines."""
    experiments = played(results)
    if not experiments:
        return "WarmFed has not been run at this scale."
    paragraphs = [_what_was_run(results, experiments)]
    paragraphs += [_what_it_shows(results, experiment) for experiment in experiments]
    return "\n\n".join(paragraphs)


def _what_was_run(results: Results, experiments: Sequence[str]) -> str:
    runs = results.select(experiments=experiments).runs
    seeds = runs.loc[runs["method"] == WARMFED, "seed"].nunique()
    titles = [results.experiments[experiment]["title"] for experiment in experiments]
    sentences = [
        "In WarmFed clients send adapters of a diffusion model. The server draws images with them, "
        "trains the first global model on these (the warm start) and goes on training on a part of "
        "them in every round; each client keeps a personal model that is taught by its own past "
        f"(DSD). It was run on {listed(titles)}, with {counted(seeds, 'seed')} at "
        f"{' and '.join(distinct(runs, 'scale'))} scale."
    ]
    sentences.append(
        "The warm start is worth something by itself, so the other methods stand here twice: as "
        "they are, and from the same warm start. One-shot is the warm start's own model where "
        "there is one, and the model after the first round where there is none."
    )
    return " ".join(sentences)


def effects(results: Results, experiment: str) -> Forest:
    """Warm start, fine-tuning and self-distillation in one experiment."""
    first, last = (of(results, experiment, "global") for of in (one_shot, Results.by_seed))
    personal = results.by_seed(experiment, "personal")
    compared = (
        ("Warm start, one-shot (FedAvg with − without)", first, "fedavg_warm", "fedavg"),
        ("Warm start, last round (FedAvg with − without)", last, "fedavg_warm", "fedavg"),
        ("Adapters for prompts alone, one-shot (WarmFed − FGL)", first, WARMFED, "fgl"),
        ("Fine-tuning on synthetic images, last round", last, WARMFED, "fedavg_warm"),
        ("DSD − no teacher", personal, WARMFED, "warmfed_plain"),
        ("DSD − last round's model as teacher", personal, WARMFED, "warmfed_previous"),
    )
    return Forest(
        f"warmfed-{experiment}",
        f"{results.experiments[experiment]['title']}: what each part is worth, accuracy in points. "
        "▲ significantly above, ▼ below; without a mark: no significant difference.",
        [
            Effect.of_shares(label, difference(results, scores[a], scores[b]))
            for label, scores, a, b in compared
            if {a, b} <= set(scores)
        ],
    )


def _what_it_shows(results: Results, experiment: str) -> str:
    """Adapters and self-distillation in one experiment."""
    sentences = []
    if learnt := adapters_learnt(results, experiment):
        sentences.append(f"Adapters: {learnt[0].lower()}{learnt[1:]}")
    if trials := adapters_tried(results, experiment):
        sentences.append(trials)
    collapsed, recorded = collapses(results, experiment)
    if collapsed:
        sentences.append(
            f"DSD's mask collapsed in {collapsed} of {recorded} client-rounds: it took one teacher for "
            "at least 99 % of the images."
        )
    elif recorded:
        sentences.append(f"DSD's mask collapsed in none of {recorded} client-rounds.")
    if varies := mask_varies(results, experiment):
        sentences.append(varies)
    sentences += [
        said
        for metric in ("global", "personal")
        if (said := alone_is_best(results, experiment, metric))
    ]
    return f"{results.experiments[experiment]['title']}. {' '.join(sentences)}"


def picture_caption(results: Results, picture: Picture) -> str:
    """What a sheet of images shows (docs/privacy.md)."""
    start = f"{results.experiments[picture.experiment]['title']}, seed {picture.seed}"
    if picture.name == "duplicates":
        return (
            f"{start}: synthetic images and, at the right of each, the nearest training image of any "
            "client; nearest pairs first."
        )
    return f"{start}: real images and images drawn for the same classes."


def row_labels(results: Results, picture: Picture) -> tuple[list[str], list[str]]:
    """What the rows and the columns of a sheet of images show."""
    names = client_names(results, picture.experiment)
    if picture.name == "duplicates":
        return [_row_said(names, row) for row in picture.says], []
    said = picture.says
    return [_row_said(names, row) for row in said["rows"]], list(said["columns"])


def _row_said(names: Sequence[str], row: Mapping[str, Any]) -> str:
    if row["kind"] == "prompt":
        return " ".join(["prompt", *([row["name"]] if "name" in row else [])])
    return f"{names[row['client']]}, {row['kind']}"
