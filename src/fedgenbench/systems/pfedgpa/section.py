"""The report's section on pFedGPA, in words."""

from collections.abc import Sequence

import pandas as pd

from fedgenbench.core.wording import counted
from fedgenbench.report.answers import Answer
from fedgenbench.report.forest import Effect, Forest
from fedgenbench.report.notes import alone_is_best
from fedgenbench.report.published_tables import published_bullets
from fedgenbench.report.results import Results, distinct
from fedgenbench.report.section import Illustration, Section
from fedgenbench.report.statistics import Interval
from fedgenbench.report.words import (
    difference,
    listed,
    percent_text,
    signed,
    verdict,
)
from fedgenbench.systems.pfedgpa.numbers import (
    PFEDGPA,
    SIMPLER,
    absent,
    by_round,
    last_round,
    played,
)
from fedgenbench.systems.pfedgpa.tables import stated, tables

# Below this, generation is called a copy: of the client's own upload (``moved``), or of the nearest
# stored one (``gap``). Both are shares of what tells clients apart.
COPY = 0.05


def section(results: Results, figures: Sequence[Illustration]) -> Section:
    """The part of the report on pFedGPA."""
    return Section(
        title="pFedGPA: a diffusion model over client weights",
        text=text(results),
        bullets=published_bullets(stated()),
        tables=tables(results),
        figures=figures,
        forests=[forest] if (forest := effects(results)).effects else [],
        answer=answer(results),
        absent=list(absent(results).values()),
        name="pfedgpa",
    )


def answer(results: Results) -> Answer:
    """Does generation beat sending back the own upload?"""
    return Answer.of(
        "Does generating a client's weights beat sending back its own upload?",
        differences(results, "pfedgpa_own"),
        "Generation moves personalised accuracy by {} against the own upload.",
        (
            ("{} from training on each client alone", differences(results, "local")),
            ("{} from FedAvg", differences(results, "fedavg")),
        ),
        lead="It is ",
    )


def differences(results: Results, other: str) -> dict[str, Interval | None]:
    """Title -> pFedGPA − ``other``, where both were run."""
    return {
        results.experiments[e]["title"]: difference(results, table[PFEDGPA], table[other])
        for e in played(results)
        if other in (table := results.by_seed(e, "personal"))
    }


def effects(results: Results) -> Forest:
    """pFedGPA against what is simpler, and against each client alone, in all experiments."""
    compared = SIMPLER | {"local": "each client alone", "fedavg_ft": "FedAvg with fine-tuning"}
    return Forest(
        "pfedgpa-simpler",
        "pFedGPA against what is simpler, personalised accuracy in points. ▲ significantly above, ▼ "
        "below; without a mark: no significant difference.",
        [
            Effect.of_shares(f"{title}: − {what}", gain)
            for other, what in compared.items()
            for title, gain in differences(results, other).items()
        ],
    )


def text(results: Results) -> str:
    """What was run, what generation did, and what it is worth; paragraphs parted by blank lines."""
    experiments = played(results)
    if not experiments:
        return "pFedGPA has not been run at this scale."
    paragraphs = [_what_was_run(results, experiments)]
    paragraphs += [_what_it_did(results, experiment) for experiment in experiments]
    return "\n\n".join(paragraphs)


def _what_was_run(results: Results, experiments: Sequence[str]) -> str:
    runs = results.select(experiments=experiments).runs
    seeds = runs.loc[runs["method"] == PFEDGPA, "seed"].nunique()
    titles = [results.experiments[experiment]["title"] for experiment in experiments]
    sentences = [
        f"pFedGPA replaces averaging by generation: the server learns the density of uploaded weights "
        f"and passes each upload through it. It was run on {listed(titles)}, with "
        f"{counted(seeds, 'seed')} at {' and '.join(distinct(runs, 'scale'))} scale."
    ]
    sentences.append(
        "Nothing published says which step of the inversion changes the weights; an exact one returns "
        "the upload, so that the method would be local training. Its score is therefore set beside "
        "runs whose server, from the same round on, sends back the upload itself, which is pure local "
        "training where the whole model is generated, or FedAvg's mean."
    )
    return " ".join(sentences)


def _what_it_did(results: Results, experiment: str) -> str:
    """Size, effect and worth of generation in one experiment."""
    last = last_round(by_round(results, experiment, PFEDGPA))
    sentences = []
    if "moved" in last:
        moved, own = (results.interval(last[name]) for name in ("moved", "own"))
        sentences.append(
            f"In the last round generation moved a client's weights by {percent_text(moved)} % of "
            "their distance from the mean of all, and the stored upload nearest to the result was "
            f"the client's own for {percent_text(own)} % of the clients."
        )
        step = difference(results, last["generated"], last["trained"])
        assert step is not None  # both are of the same rounds
        shown = {
            "higher": ", significantly more",
            "lower": ", significantly less",
            "open": ", no significant difference",
            "unknown": "",
        }[verdict(step)]
        sentences.append(
            f"What clients received then scored {signed(step)} points against what they had sent, "
            f"before any new training{shown}."
        )
    if said := alone_is_best(results.main, experiment, "personal"):
        sentences.append(said)
    sentences.append(_worth(results, experiment, last))
    return f"{results.experiments[experiment]['title']}. {' '.join(sentences)}"


def _worth(results: Results, experiment: str, last: pd.DataFrame) -> str:
    """The conclusion: is generation hollow here?"""
    copies = []
    if "moved" in last and last["moved"].mean() < COPY:
        copies.append("it hands back the uploads almost unchanged")
    if "gap" in last and last["gap"].mean() < COPY:
        copies.append("what it makes has the code of a stored upload")
    if copies:
        return f"Here generation is hollow: {' and '.join(copies)}."
    scores = results.by_seed(experiment, "personal")
    gains = {
        what: difference(results, scores[PFEDGPA], scores[other])
        for other, what in SIMPLER.items()
        if other in scores
    }
    shown = {what: verdict(interval) for what, interval in gains.items() if interval}
    if len(shown) < len(SIMPLER) or "unknown" in shown.values():
        return "Whether generation is worth anything cannot be said from these runs."
    if better := [what for what in shown if shown[what] == "lower"]:
        return f"Here {' and '.join(better)} would do better than generation."
    if no_gain := [what for what in shown if shown[what] == "open"]:
        return f"So these runs show no gain of generation over {' and '.join(no_gain)}."
    return "Here generation is worth more than both."
