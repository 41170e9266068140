"""The tables of WarmFed: T1 to T6 of the sheet's layout, and what adapters and images cost and tell."""

from collections.abc import Sequence
from pathlib import Path

from fedgenbench.report.notes import DIFFERENCES, table_notes
from fedgenbench.report.published import Published, published
from fedgenbench.report.published_tables import published_tables
from fedgenbench.report.results import Results
from fedgenbench.report.statistics import Interval
from fedgenbench.report.tables import (
    Cell,
    Column,
    Row,
    Table,
    cells_of,
    decimals,
    percent,
    points,
)
from fedgenbench.report.words import difference
from fedgenbench.systems.warmfed.image_tables import (
    adapter_table,
    examined_tables,
    trial_table,
    warm_start_table,
)
from fedgenbench.systems.warmfed.numbers import (
    GLOBAL_ABLATION,
    SITED,
    SITES,
    TEACHERS,
    TEMPERATURES,
    TREND_ROUNDS,
    WARMFED,
    belonging,
    by_round,
    one_shot,
    played,
    recorded,
    steadiness,
    subset_rows,
    tried,
    warm_rows,
)
from fedgenbench.systems.warmfed.sensitivity_tables import (
    dsd_cost_table,
    subset_table,
    temperature_table,
)
from fedgenbench.systems.warmfed.variation_tables import communication_table, left_out_table

# A global method whose clients keep something of their own: T2 of the sheet has it too.
KEEPS_SOMETHING = "fedbn"
ONE_SHOT = (
    "One-shot: the model of the synthetic images where there is a warm start, else, and for "
    "personalised models of methods that have none before round 1, that of the first round. "
    "Controls: their final score in both parts."
)
WARM = "A row with a warm start is the method above it, from the model that WarmFed starts from."


def stated() -> Published:
    """What is known of the paper's own numbers."""
    return published(Path(__file__).with_name("published.yaml"))


def tables(results: Results) -> list[Table]:
    """All that the runs at hand can fill, in the order of the report."""
    experiments = played(results)
    printed = published_tables(results, stated(), "warmfed")
    if not experiments:
        return printed
    made = [
        global_table(results),
        personal_table(results),
        global_ablation_table(results),
        personal_ablation_table(results),
    ]
    if any(belonging(results, "left_out", e) for e in experiments):
        made.append(left_out_table(results))
    made.append(communication_table(results))
    frame = results.synthesis[results.synthesis["experiment"].isin(experiments)]
    if (frame["kind"] == "adapter").any():
        made.append(adapter_table(results))
    if frame["kind"].str.startswith("warm_").any():
        made.append(warm_start_table(results))
    made += examined_tables(results)
    record = [recorded(results, e, WARMFED, "pool_bytes") for e in experiments]
    if any(results.server["method"].isin(TEMPERATURES[1:])):
        made.append(temperature_table(results))
    if subset_rows(results):
        made.append(subset_table(results))
    if not all(frame.empty for frame in record):
        made.append(dsd_cost_table(results))
    if any(tried(results, e) for e in experiments):
        made.append(trial_table(results))
    return [*made, *printed]


# T1 and T2 --------------------------------------------------------------------------------------
def global_table(results: Results) -> Table:
    """T1: the global model, one-shot and after the last round."""
    base = [
        *(m for m in results.family("control")),
        *results.family("global"),
        *([WARMFED] if WARMFED in results.methods else []),
    ]
    caption = "Global model: accuracy, one-shot and after the last round"
    return _standing(results, "warmfed_global", caption, "global", base)


def personal_table(results: Results) -> Table:
    """T2: personalised models on their own client's test images, one-shot and after the last round."""
    base = [
        *results.family("control"),
        *(m for m in results.family("global") if m == KEEPS_SOMETHING),
        *results.family("personalised"),
    ]
    caption = "Personalised models: accuracy, one-shot and after the last round"
    return _standing(results, "warmfed_personal", caption, "personal", base)


def _standing(
    results: Results, id: str, caption: str, metric: str, methods: Sequence[str]
) -> Table:
    experiments = played(results)
    order = [row for method in methods for row in (method, *warm_rows(results, method))]
    columns = []
    for experiment in experiments:
        group = results.experiments[experiment]["title"]
        heads = ("Mean", *results.domains(experiment))
        columns += [Column(head, group, "%", experiment=experiment) for head in heads]
    rows = []
    for block, scores in (
        ("One-shot", one_shot),
        ("After the last round", Results.by_seed),
    ):
        tables = [
            scores(results, experiment, metric, domain)
            for experiment in experiments
            for domain in (None, *results.domains(experiment))
        ]
        tables = [table[[m for m in order if m in table]] for table in tables]
        best = [results.best(table) for table in tables]
        guesses = [
            percent(results.guess(experiment))
            for experiment in experiments
            for _ in (None, *results.domains(experiment))
        ]
        rows.append(Row("random_guess", "Random guess", tuple(guesses), block))
        for method in order:
            if not any(method in table for table in tables):
                continue
            cells = [
                percent(results.interval(table[method]), bold=method in bold)
                if method in table
                else Cell()
                for table, bold in zip(tables, best, strict=True)
            ]
            rows.append(Row(method, results.label(method), tuple(cells), block))
    notes = (
        "Accuracies in %. Mean: plain mean over clients.",
        *(ONE_SHOT, WARM),
        *table_notes(results.select(experiments, order)),
    )
    return Table(id, caption, tuple(columns), tuple(rows), notes)


# T3 and T4 --------------------------------------------------------------------------------------
def global_ablation_table(results: Results) -> Table:
    """T3: warm start by fine-tuning, and who fine-tunes, over the rounds."""
    experiments = played(results)
    numbers = {
        e: sorted({r for m in GLOBAL_ABLATION for r in by_round(results, e, "global", m)})
        for e in experiments
    }
    columns = [Column("Warm start"), Column("Fine-tuning")]
    for experiment, rounds in numbers.items():
        group = f"{results.experiments[experiment]['title']}, round"
        columns += [Column(str(number), group, "%", experiment=experiment) for number in rounds]
    settings = [("Warm start and fine-tuning", m, *words) for m, words in GLOBAL_ABLATION.items()]
    settings += [("What is fine-tuned", m, "yes", words) for m, words in SITES.items()]
    rows = []
    for block, method, warm, tuned in settings:
        if method not in results.methods:
            continue
        cells = [Cell(warm), Cell(tuned)]
        for experiment, rounds in numbers.items():
            curve = by_round(results, experiment, "global", method)
            cells += cells_of(results, curve, percent, *rounds)
        rows.append(Row(method, results.full_label(method), tuple(cells), block))
    return Table(
        "warmfed_global_ablation",
        "Global model: warm start and fine-tuning on synthetic images, by round",
        tuple(columns),
        tuple(rows),
        (
            "Accuracies in %, mean over clients. Round 0: the warm start's own model; from "
            "scratch there is none.",
            f"Fine-tuned on synthetic images: {SITED}.",
            *table_notes(results.select(experiments, [*GLOBAL_ABLATION, *SITES]), bold=False),
        ),
        "Row",
    )


def personal_ablation_table(results: Results) -> Table:
    """T4: who teaches the personal model; accuracy, and how steady it is."""
    rows = []
    for experiment in played(results):
        scores = results.by_seed(experiment, "personal")
        for method, teacher in TEACHERS.items():
            if method not in scores:
                continue
            steady = steadiness(results, experiment, method)
            gain = None
            if method != "warmfed_plain" and "warmfed_plain" in scores:
                gain = difference(results, scores[method], scores["warmfed_plain"])
            by_seed = scores[method].dropna()
            spread = Interval(float(by_seed.std()), None, None, len(by_seed))
            cells = (
                Cell(teacher),
                percent(results.interval(by_seed)),
                points(gain),
                *cells_of(results, steady, percent, "mean"),
                *cells_of(results, steady, _small_percent, "spread", "around"),
                _small_percent(spread) if len(by_seed) > 1 else Cell(),
            )
            title = results.experiments[experiment]["title"]
            rows.append(Row(method, results.label(method), cells, title, experiment))
    return Table(
        "warmfed_personal_ablation",
        "Personalised models: who teaches",
        (
            Column("Teacher"),
            Column("last round", "Accuracy", "%"),
            Column("− no teacher", "Accuracy", "points"),
            Column("all rounds", "Accuracy", "%"),
            Column("over rounds", "Spread", "points"),
            Column("around trend", "Spread", "points"),
            Column("over seeds", "Spread", "points"),
        ),
        tuple(rows),
        (
            "Spread over rounds: standard deviation of a client's accuracy over the rounds from 1"
            " on, mean over clients. Around trend: the same around a straight line through these "
            "rounds, so "
            f"that progress is no spread; from {TREND_ROUNDS} evaluated rounds on. Over seeds: standard "
            "deviation of the last accuracy; seeds differ in the training images too.",
            DIFFERENCES,
            *table_notes(results.select(played(results), list(TEACHERS)), bold=False),
        ),
        "Row",
    )


# Parts ------------------------------------------------------------------------------------------


def _small_percent(interval: Interval) -> Cell:
    return decimals(interval.scaled(100), 2)
