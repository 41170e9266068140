"""The tables of WarmFed: T1 to T6 of the sheet's layout, and what adapters and images cost and tell."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fedgenbench.report.notes import scale_notes, table_notes
from fedgenbench.report.published import Published, published
from fedgenbench.report.published_tables import published_tables
from fedgenbench.report.results import Results
from fedgenbench.report.statistics import Interval
from fedgenbench.report.tables import Cell, Column, Row, Table, cells_of, decimals, percent, points
from fedgenbench.report.words import absences, difference, spread_note
from fedgenbench.systems.warmfed.numbers import (
    GLOBAL_ABLATION,
    SITED,
    SITES,
    TEACHERS,
    TREND_ROUNDS,
    WARMFED,
    absent,
    adapters_learnt,
    before_round_1,
    belonging,
    by_round,
    client_names,
    one_shot,
    played,
    steadiness,
    traffic,
    warm_rows,
)

# A global method whose clients keep something of their own: T2 of the sheet has it too.
KEEPS_SOMETHING = "fedbn"
ONE_SHOT = (
    "One-shot: the model of the synthetic images where there is a warm start, else, and for "
    "personalised models of methods that have none before round 1, that of the first round. "
    "Controls: their final score in both parts."
)
WARM = "A row with a warm start is the method above it, from the model that WarmFed starts from."
DIFFERENCES = "Differences are paired within seeds; one counts where its interval leaves out 0."

# kind -> title of the block; name -> words. docs/privacy.md says how each is measured.
EXAMINED = {
    "duplication": (
        "Copies of training images",
        {
            "copied_any": "adapter's images, of any client",
            "copied_own": "adapter's images, of the client",
            "prompts_copied_any": "FGL's images, of any client",
            "prompts_copied_own": "FGL's images, of the client",
            "held_out_copied_any": "held-out images, of any client",
            "distance_any": "distance of adapter's images, any client",
            "distance_own": "distance of adapter's images, the client",
            "held_out_any": "distance of held-out images, any client",
            "held_out_own": "distance of held-out images, the client",
            "prompts_distance_any": "distance of FGL's images, any client",
            "prompts_distance_own": "distance of FGL's images, the client",
        },
    ),
    "likeness": (
        "Kernel distance to the client's images",
        {
            "own": "adapter's images",
            "others": "images of other domains' adapters",
            "prompts": "FGL's images",
            "held_out": "held-out images (floor)",
            "rank": "rank of the own domain",
        },
    ),
    "style": (
        "Taken for the client's domain",
        {
            "own": "adapter's images",
            "prompts": "FGL's images",
            "held_out": "held-out images (ceiling)",
        },
    ),
    "membership": (
        "Membership attack by the adapter",
        {
            "auc": "area under the ROC curve",
            "auc_standard_error": "its standard error",
            "tpr_at_5_fpr": "found at 5 % false alarms",
            "drop_members": "fall of the loss, members",
            "drop_non_members": "fall of the loss, non-members",
            "members": "members",
            "non_members": "non-members",
            "auc_base": "area, base model (control)",
            "auc_other": "area, another client's adapter (control)",
        },
    ),
}
REAL = "real:"  # prefix of the rows of the matrix of kernel distances
COUNTS = ("rank", "members", "non_members")


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
    if frame["kind"].isin(EXAMINED).any():
        made += [examined_table(results, e) for e in experiments if _has_examined(results, e)]
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
        columns += [Column(d, group, "%") for d in (*results.domains(experiment), "Mean")]
    absent = _absent(results, "main")
    columns += [Column("Mean", entry["title"], "%") for entry in absent]
    rows = []
    for block, scores in (
        ("One-shot", one_shot),
        ("After the last round", Results.by_seed),
    ):
        tables = [
            scores(results, experiment, metric, domain)
            for experiment in experiments
            for domain in (*results.domains(experiment), None)
        ]
        tables = [table[[m for m in order if m in table]] for table in tables]
        best = [results.best(table) for table in tables]
        guesses = [
            percent(results.guess(experiment))
            for experiment in experiments
            for _ in (*results.domains(experiment), None)
        ]
        nothing = [_unrun(entry) for entry in absent]
        rows.append(Row("random_guess", "Random guess", (*guesses, *nothing), block))
        for method in order:
            if not any(method in table for table in tables):
                continue
            cells = [
                percent(results.interval(table[method]), bold=method in bold)
                if method in table
                else Cell()
                for table, bold in zip(tables, best, strict=True)
            ]
            rows.append(Row(method, results.label(method), (*cells, *nothing), block))
    notes = (
        "Accuracies in %. Mean: plain mean over clients.",
        *(ONE_SHOT, WARM),
        *_absence_notes(results),
        *table_notes(_shown(results, experiments, order)),
    )
    return Table(id, caption, tuple(columns), tuple(rows), notes)


# T3 and T4 --------------------------------------------------------------------------------------
def global_ablation_table(results: Results) -> Table:
    """T3: warm start by fine-tuning, and who fine-tunes, over the rounds."""
    experiments, absent = played(results), _absent(results, "main")
    numbers = {
        e: sorted({r for m in GLOBAL_ABLATION for r in by_round(results, e, "global", m)})
        for e in experiments
    }
    columns = [Column("Warm start"), Column("Fine-tuning")]
    for experiment, rounds in numbers.items():
        group = f"{results.experiments[experiment]['title']}, round"
        columns += [Column(str(number), group, "%") for number in rounds]
    columns += [Column("Rounds", entry["title"], "%") for entry in absent]
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
        cells += [_unrun(entry) for entry in absent]
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
            *_absence_notes(results),
            *table_notes(_shown(results, experiments, [*GLOBAL_ABLATION, *SITES]), bold=False),
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
            own = scores[method].dropna()
            spread = Interval(float(own.std()), None, None, len(own))
            cells = (
                Cell(teacher),
                percent(results.interval(own)),
                points(gain),
                *cells_of(results, steady, percent, "mean"),
                *cells_of(results, steady, _small_percent, "spread", "around"),
                _small_percent(spread) if len(own) > 1 else Cell(),
            )
            title = results.experiments[experiment]["title"]
            rows.append(Row(method, results.label(method), cells, title))
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
            "deviation of the last accuracy; seeds differ in the data split too.",
            DIFFERENCES,
            *_absence_notes(results),
            *table_notes(_shown(results, played(results), list(TEACHERS)), bold=False),
        ),
        "Row",
    )


# T5 and T6 --------------------------------------------------------------------------------------
def left_out_table(results: Results) -> Table:
    """T5: the global model on a domain that no client holds."""
    columns, contents, methods, used = [], [], {}, []
    for base in played(results):
        group = results.experiments[base]["title"]
        tables = {
            entry["left_out"]: results.by_seed(name, "global")
            for name, entry in belonging(results, "left_out", base).items()
        }
        if not tables:
            continue
        used += belonging(results, "left_out", base)
        ran = [m for m in results.methods if any(m in table for table in tables.values())]
        methods |= dict.fromkeys(ran)
        average = pd.DataFrame(
            {
                method: pd.DataFrame({d: t[method] for d, t in tables.items()})
                .dropna()
                .mean(axis=1)
                for method in ran
                if all(method in table for table in tables.values())
            }
        )
        for label, table in (*tables.items(), ("Mean", average)):
            bold = results.best(table)
            columns.append(Column(label, group, "%"))
            contents.append(
                {m: percent(results.interval(v), bold=m in bold) for m, v in table.items()}
            )
        columns.append(Column("− FedAvg", group, "points"))
        contents.append(
            {
                method: points(difference(results, average[method], average["fedavg"]))
                for method in average
                if method != "fedavg" and "fedavg" in average
            }
        )
    absent = _absent(results, "left_out")
    columns += [Column("Mean", entry["title"], "%") for entry in absent]
    rows = [
        Row(
            method,
            results.full_label(method),
            (*(c.get(method, Cell()) for c in contents), *map(_unrun, absent)),
        )
        for method in methods
    ]
    return Table(
        "warmfed_left_out",
        "Domain generalisation: the global model on a domain that no client holds",
        tuple(columns),
        tuple(rows),
        (
            "Accuracies in % on the test images of the domain in the column's head; the other "
            "domains' clients train. Mean: over the domains. − FedAvg: of the mean.",
            DIFFERENCES,
            *_absence_notes(results, "left_out"),
            *table_notes(_shown(results, used, list(methods))),
        ),
    )


def communication_table(results: Results) -> Table:
    """T6: accuracy and the traffic of one client in the whole run, by number of clients."""
    columns, contents, used, methods = [], [], [], {}
    for base in played(results):
        for experiment in (base, *belonging(results, "scale", base)):
            used.append(experiment)
            group = results.experiments[experiment]["title"]
            scores = results.by_seed(experiment, "global")
            main = results.main if experiment == base else results
            methods |= dict.fromkeys(m for m in scores if m in main.methods)
            columns.append(Column("Accuracy", group, "%"))
            contents.append({m: percent(results.interval(v)) for m, v in scores.items()})
            for direction in ("up", "down"):
                table = traffic(results, experiment, direction)
                columns.append(Column(f"{direction.capitalize()}", group, "MB"))
                contents.append({m: megabytes(results.interval(v)) for m, v in table.items()})
    absent = _absent(results, "scale")
    columns += [Column("Accuracy", entry["title"], "%") for entry in absent]
    rows = [
        Row(
            method,
            results.label(method),
            (*(c.get(method, Cell("not run")) for c in contents), *map(_unrun, absent)),
        )
        for method in results.methods
        if method in methods and method not in results.family("control")
    ]
    return Table(
        "warmfed_communication",
        "Communication: one client's traffic in the whole run, by number of clients",
        tuple(columns),
        tuple(rows),
        (
            "Accuracy of the global model in %. Up and down: MB (a million bytes) that one client"
            " sends and receives in the whole run, mean over clients: adapter, prompt embeddings "
            "and the images to fine-tune on once, models in every round.",
            *_absence_notes(results, "scale"),
            *table_notes(_shown(results, used, list(methods)), bold=False),
        ),
    )


# Adapters, images, warm starts ------------------------------------------------------------------
def adapter_table(results: Results) -> Table:
    """Sizes and times of adapters and of the images drawn with them."""
    rows = []
    for experiment in played(results):
        title = results.experiments[experiment]["title"]
        made, drawn = (_made(results, experiment, kind) for kind in ("adapter", "images"))
        names = client_names(results, experiment)
        for client in sorted(made.index.get_level_values("client").unique()):
            own = made.xs(client, level="client")
            images = _of_client(drawn, client)
            cells = (
                *cells_of(results, own, _whole, "images"),
                *cells_of(results, own.filter(like="_bytes") / 1e6, megabytes, *_BYTES),
                *cells_of(results, own, _fine, "first_loss", "last_loss"),
                *cells_of(results, own / 60, _one, "wall_seconds"),
                *cells_of(results, images, _whole, "images"),
                *cells_of(results, images, _fine, "seconds_per_image"),
            )
            rows.append(Row(f"client-{client}", names[client], cells, title))
        prompts = _of_client(_made(results, experiment, "prompts"), -1)
        if not prompts.empty:
            cells = (
                *(Cell("") for _ in range(6)),
                *cells_of(results, prompts, _whole, "images"),
                *cells_of(results, prompts, _fine, "seconds_per_image"),
            )
            rows.append(Row("prompts", "prompts alone (FGL)", cells, title))
    return Table(
        "warmfed_adapters",
        "Adapters, and the images drawn with them",
        (
            Column("Images", "Trained on", ""),
            Column("Adapter", "Size", "MB"),
            Column("Prompts", "Size", "MB"),
            Column("first", "Loss", ""),
            Column("last", "Loss", ""),
            Column("Tuning", "", "min", measured=True),
            Column("Images", "Drawn", ""),
            Column("an image", "Drawn", "s", measured=True),
        ),
        tuple(rows),
        (
            "Sizes in MB (a million bytes) as they are sent. Loss: mean of the first and of the "
            "last tenth of the steps.",
            *(
                f"{results.experiments[e]['title']}: {learnt[0].lower()}{learnt[1:]}"
                for e in played(results)
                if (learnt := adapters_learnt(results, e))
            ),
            *_synthesis_notes(results),
        ),
        "Client",
        ("Times on this hardware, which other jobs shared.",),
    )


def warm_start_table(results: Results) -> Table:
    """The model trained on synthetic images alone."""
    labels = {
        "warm_adapters": ("adapters (WarmFed)", WARMFED),
        "warm_prompts": ("prompts alone (FGL)", "fgl"),
    }
    experiments = played(results)
    width = max(len(client_names(results, e)) for e in experiments)
    rows = []
    for experiment in experiments:
        title = results.experiments[experiment]["title"]
        for kind, (label, method) in labels.items():
            facts = _of_client(_made(results, experiment, kind), -1)
            if facts.empty:
                continue
            accuracy = before_round_1(results, experiment, method)
            cells = (
                *cells_of(results, accuracy, percent, *range(width), -1),
                *cells_of(results, facts, _whole, "images"),
                *cells_of(results, facts, _fine, "last_loss"),
                *cells_of(results, facts / 60, _one, "wall_seconds"),
            )
            rows.append(Row(kind, label, cells, title))
    names = client_names(results, experiments[0])
    heads = names if len(experiments) == 1 else [f"client {c}" for c in range(width)]
    return Table(
        "warmfed_warm_start",
        "Warm start: a classifier of synthetic images alone, on real test images",
        (
            *(Column(head, "Accuracy", "%") for head in (*heads, "Mean")),
            Column("Images", "Training", ""),
            Column("last loss", "Training", ""),
            Column("Time", "Training", "min", measured=True),
        ),
        tuple(rows),
        _synthesis_notes(results),
        "Images of",
    )


def examined_table(results: Results, experiment: str) -> Table:
    """What synthetic images and adapters give away, by client."""
    names = client_names(results, experiment)
    frame = results.synthesis[results.synthesis["experiment"] == experiment]
    classifier = _of_client(_made(results, experiment, "likeness"), -1)
    rows, notes = [], []
    if "classifier" in classifier:
        reached = percent(results.interval(classifier["classifier"])).text
        notes.append(
            f"Distances compare features of a classifier that is right about {reached} % of all clients' "
            "training images."
        )
    for kind, (title, words) in EXAMINED.items():
        own = frame[(frame["kind"] == kind) & (frame["client"] >= 0)]
        for name, label in words.items():
            rows += _examined_row(results, own, kind, name, label, title, len(names))
        for name in dict.fromkeys(own.loc[own["name"].str.startswith(REAL), "name"]):
            title_of = "Kernel distance of the adapter's images to real images"
            label = f"of {name.removeprefix(REAL)}"
            rows += _examined_row(results, own, kind, name, label, title_of, len(names))
    return Table(
        f"warmfed_examined_{experiment}",
        f"{results.experiments[experiment]['title']}: what synthetic images and adapters give away",
        tuple(Column(name, "", "") for name in (*names, "Mean")),
        tuple(rows),
        (
            "Copies: share of images nearer to a training image than 5 % of the client's held-out images "
            "are; the share of held-out images is what to expect where nothing is copied. Distances are "
            "medians. Kernel distance: lower is more alike. Attack: an area of 0.5 is chance. FGL's "
            "images come from prompts alone and saw no private data. docs/privacy.md says how each is "
            "measured. Clients: means over seeds.",
            *notes,
            *_synthesis_notes(results),
        ),
        "Measure",
    )


def _examined_row(
    results: Results,
    frame: pd.DataFrame,
    kind: str,
    name: str,
    label: str,
    title: str,
    clients: int,
) -> list[Row]:
    """The row of one measure, if there is any value of it."""
    table = frame[frame["name"] == name].pivot(index="seed", columns="client", values="value")
    if table.empty:
        return []
    table = table.assign(mean=table.mean(axis=1))
    digits = 1 if name in COUNTS else 3

    def alone(interval: Interval) -> Cell:
        return Cell(f"{interval.mean:.{digits}f}", False, interval)

    cells = cells_of(results, table, alone, *range(clients))
    cells += cells_of(results, table, lambda interval: decimals(interval, digits), "mean")
    return [Row(f"{kind}-{name}", label, tuple(cells), title)]


def _has_examined(results: Results, experiment: str) -> bool:
    frame = results.synthesis
    return bool((frame["kind"].isin(EXAMINED) & (frame["experiment"] == experiment)).any())


# Parts ------------------------------------------------------------------------------------------
_BYTES = ("adapter_bytes", "embedding_bytes")


def megabytes(interval: Interval) -> Cell:
    """MB with three digits below one, else with two; without an interval where all seeds agree."""
    digits = 3 if interval.mean < 1 else 2
    if interval.half is not None and interval.half < 10**-digits / 2:
        return Cell(f"{interval.mean:.{digits}f}", False, interval)
    return decimals(interval, digits)


def _fine(interval: Interval) -> Cell:
    return decimals(interval, 3)


def _one(interval: Interval) -> Cell:
    return decimals(interval, 1)


def _whole(interval: Interval) -> Cell:
    return Cell(f"{interval.mean:,.0f}", False, interval)


def _small_percent(interval: Interval) -> Cell:
    return decimals(interval.scaled(100), 2)


def _made(results: Results, experiment: str, kind: str) -> pd.DataFrame:
    """Numbers of one kind of report: (seed, client) by names."""
    frame = results.synthesis
    frame = frame[(frame["experiment"] == experiment) & (frame["kind"] == kind)]
    return frame.pivot(index=["seed", "client"], columns="name", values="value")


def _of_client(made: pd.DataFrame, client: int) -> pd.DataFrame:
    known = client in made.index.get_level_values("client")
    return made.xs(client, level="client") if known else made.iloc[:0].droplevel("client")


def _absent(results: Results, role: str) -> list[Mapping[str, Any]]:
    return list(absent(results, role).values())


def _unrun(entry: Mapping[str, Any]) -> Cell:
    return Cell("no data" if entry["reason"] == "no data" else "not run")


def _absence_notes(results: Results, role: str = "main") -> list[str]:
    reasons = absences(absent(results, role).values())
    return [f"Without runs ({reason}): {'; '.join(titles)}." for reason, titles in reasons.items()]


def _shown(results: Results, experiments: Iterable[str], methods: Iterable[str]) -> Results:
    return results.select(list(experiments), list(methods))


def _synthesis_notes(results: Results) -> tuple[str, ...]:
    """Notes on what stands beside the runs."""
    seeds = results.synthesis["seed"].nunique()
    return (spread_note(results, [seeds]), *scale_notes(results.runs))
