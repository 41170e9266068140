"""The report's own sections, around those of the systems: summary, scoreboard, what ran, provenance."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fedgenbench.core.wording import counted
from fedgenbench.report.notes import ALONE, alone_is_best, band_warnings
from fedgenbench.report.results import FAMILIES, METRICS, Results, distinct
from fedgenbench.report.section import Section
from fedgenbench.report.statistics import Interval
from fedgenbench.report.tables import MISSING, Cell, Column, Row, Table, percent
from fedgenbench.report.verdicts import VERDICTS


def summary(results: Results, sections: Sequence[Section]) -> Section:
    """What was run, how the claims stand, and the highest method of each experiment."""
    runs = results.runs
    scales = distinct(runs, "scale")
    methods = runs["method"].nunique()
    sentences = [
        f"{counted(len(runs), 'run')} of {counted(methods, 'method')} on "
        f"{counted(runs['experiment'].nunique(), 'experiment')} at {' and '.join(scales)} scale, on "
        f"{' and '.join(distinct(runs, 'hardware'))}."
    ]
    sentences.append("Times and memory, which differ every time, stand apart in costs.html.")
    sentences += [f"Numbers at {s} scale are not the papers'." for s in scales if s != "paper"]
    verdicts = Counter(claim.verdict for section in sections for claim in section.claims)
    if verdicts:
        tally = ", ".join(f"{verdicts[v]} {v}" for v in VERDICTS if verdicts[v])
        sentences.append(f"Of {counted(verdicts.total(), 'claim')} of the papers: {tally}.")
    if warnings := len(band_warnings(results.main)):
        sentences.append(f"Warnings about the band of the controls: {warnings}.")
    bullets = [line for e in results.main.experiments if (line := _headline(results, e))]
    return Section("Summary", " ".join(sentences), bullets)


def cost_summary(results: Results) -> Section:
    runs = results.runs
    return Section(
        "Summary",
        f"{counted(len(runs), 'run')} took {runs['wall_seconds'].sum() / 3600:.1f} hours on "
        f"{' and '.join(distinct(runs, 'hardware'))}, the first started {runs['started'].min()}, the "
        f"last {runs['started'].max()}. Times and memory were measured on this machine and come out "
        "otherwise the next time, here too, so they stand apart from the report, which does not. "
        "Time is wall-clock, summed over a job's attempts where it was interrupted.",
    )


def _headline(results: Results, experiment: str) -> str:
    """The highest method of an experiment, its variants and its controls; empty if no run."""
    whole, results = results, results.main
    for metric in ("personal", "global"):
        table = results.by_seed(experiment, metric)
        controls = table.columns.intersection(results.family("control"))
        means = table.drop(columns=controls).mean()
        if not means.empty:
            break
    else:
        return ""
    best = means.idxmax()
    lead = (
        "significantly above every other method" if results.best(table) else "no significant lead"
    )
    band = [f"{results.label(c)} {_unbroken(results.interval(table[c]))}" for c in controls]
    band.append(f"random guess {_unbroken(results.guess(experiment))}")
    alone = alone_is_best(results, experiment, metric)
    return (
        f"{results.experiments[experiment]['title']}: the highest {METRICS[metric].lower()} accuracy "
        f"of a method is {results.label(best)}'s {_unbroken(results.interval(table[best]))}, {lead}."
        f"{_higher_variants(whole, experiment, metric, means[best])}"
        f" Controls: {', '.join(band)}."
        f"{f' No method reaches {results.label(ALONE)}.' if alone else ''}"
    )


def _higher_variants(results: Results, experiment: str, metric: str, best: float) -> str:
    """A sentence about the variants above the best method's mean; empty without one."""
    table = results.by_seed(experiment, metric)
    means = table[table.columns.intersection(results.family("variant"))].mean()
    higher = means[means > best]
    if higher.empty:
        return ""
    first = higher.idxmax()
    score = _unbroken(results.interval(table[first]))
    if len(higher) == 1:
        return f" A variant is higher: {results.full_label(first)} with {score}."
    return f" {len(higher)} variants are higher, {results.full_label(first)} most with {score}."


def _unbroken(interval: Interval) -> str:
    """A percentage for running text, which no line end parts."""
    return f"{percent(interval).text} %".replace(" ", "\N{NO-BREAK SPACE}")


def scoreboard(sections: Sequence[Section]) -> list[Section]:
    rows = [
        Row(
            claim.id,
            claim.id,
            (
                Cell(claim.verdict, tone=VERDICTS[claim.verdict]),
                *(Cell(claim.text), Cell(claim.evidence), Cell(claim.source)),
            ),
            section.title,
        )
        for section in sections
        for claim in section.claims
    ]
    if not rows:
        return []
    table = Table(
        "claims",
        "What the papers say can be seen, and what these runs show.",
        tuple(Column(label) for label in ("Verdict", "Claim", "Evidence", "Source")),
        tuple(rows),
        (
            "Undecided: the paired interval over seeds reaches zero. Not testable here: needs "
            "a larger scale or data that are not at hand.",
        ),
        "Id",
    )
    return [Section("Scoreboard of claims", tables=[table])]


def what_ran(results: Results) -> Section:
    """The experiments, and what their runs cost."""
    return Section("What ran", tables=[_experiments(results), _cost(results)])


def _experiments(results: Results) -> Table:
    keys = {
        "Dataset": "dataset",
        "Classes": "classes",
        "Clients": "clients",
        "Partition": "partition",
        "Model": "model",
        "Rounds": "rounds",
        "Local training": "local",
        "Note": "note",
    }
    return Table(
        "grid",
        "The experiments.",
        tuple(Column(label) for label in keys),
        tuple(
            Row(e, entry["title"], tuple(Cell(str(entry[key]) or "–") for key in keys.values()))
            for e, entry in results.experiments.items()
            # Without rounds: its section says what ran. Without a domain: like the whole.
            if entry["role"] not in ("oneshot", "left_out")
        ),
        ("Each domain left out in turn is an experiment more, like the one with all domains.",)
        if any(entry["role"] == "left_out" for entry in results.experiments.values())
        else (),
        "Experiment",
    )


def _cost(results: Results) -> Table:
    runs = results.runs
    rows = []
    roles = {e: entry["role"] for e, entry in results.experiments.items()}
    bases = {
        e: entry["base"] if roles[e] == "left_out" else e
        for e, entry in results.experiments.items()
    }
    grouped = [runs["experiment"].map(bases), runs["experiment"].map(roles) == "left_out"]
    for (experiment, without), group in runs.groupby(grouped, sort=False):
        hours = group["wall_seconds"] / 3600
        cells = (
            *(str(group["method"].nunique()), str(group["seed"].nunique()), str(len(group))),
            *(f"{hours.sum():.2f}", f"{60 * hours.median():.1f}"),
            f"{group['peak_memory_bytes'].max() / 1e9:.1f}",
            *(", ".join(distinct(group, column)) for column in ("device", "engine")),
        )
        title = results.experiments[experiment]["title"]
        id, title = (
            (f"{experiment}-without", f"{title}, without a domain")
            if without
            else (experiment, title)
        )
        rows.append(Row(id, title, tuple(Cell(text) for text in cells)))
    return Table(
        "cost",
        "What it cost.",
        (
            *(Column(label, unit="", measured=True) for label in ("Methods", "Seeds", "Runs")),
            Column("All runs", unit="h", measured=True),
            Column("Median run", unit="min", measured=True),
            Column("Peak memory", unit="GB", measured=True),
            *(Column(label, measured=True) for label in ("Device", "Engine")),
        ),
        tuple(rows),
        (f"Hardware: {', '.join(distinct(runs, 'hardware'))}.",),
        "Experiment",
    )


def controls(results: Results) -> Section:
    warnings = band_warnings(results.main)
    text = (
        "Every table holds three controls: a random guess, training on each client alone, and "
        "training on the pooled data. A method outside the band they span is not an error by "
        "itself, but asks for an explanation. "
    )
    text += "These leave it:" if warnings else "None leaves it here."
    return Section("Controls", text, warnings)


def cuts(cuts: Sequence[Mapping[str, str]]) -> list[Section]:
    if not cuts:
        return []
    keys = {"Here": "here", "Paper": "paper", "Reason": "reason"}
    rows = [
        Row(c["setting"], c["setting"], tuple(Cell(str(c[k])) for k in keys.values())) for c in cuts
    ]
    table = Table(
        "cuts",
        "Settings that differ from the papers' because of the scale.",
        tuple(Column(label) for label in keys),
        tuple(rows),
        stub="Setting",
    )
    return [Section("What was cut for the scale", tables=[table])]


def data(cards: Sequence[Mapping[str, Any]]) -> list[Section]:
    tables = []
    for number, card in enumerate(cards):
        notes = [f"Images: {', '.join(f'{part} {n:,}' for part, n in card['counts'].items())}."]
        for title in ("classes", "domains"):
            if names := card[title]:
                notes.append(f"{title.capitalize()} ({len(names)}): {', '.join(names)}.")
        rows = [
            Row(work["work"], work["work"], tuple(Cell(work[k]) for k in ("licence", "by", "url")))
            for work in card["works"]
        ]
        columns = (Column("Licence"), Column("By"), Column("Address"))
        notes += card.get("notes", [])
        tables.append(
            Table(f"card-{number}", f"{card['title']}.", columns, tuple(rows), tuple(notes), "Work")
        )
    return [Section("Data", tables=tables)] if tables else []


def provenance(results: Results) -> Section:
    runs = results.runs
    bullets = []
    for revision, group in runs.groupby(runs["git_revision"].fillna("unknown")):
        dirty = int(group["git_dirty"].eq(True).sum())
        remark = f", {dirty} of them with uncommitted changes" if dirty else ""
        bullets.append(f"Revision {revision}: {counted(len(group), 'run')}{remark}.")
    bullets.append(f"PyTorch {', '.join(distinct(runs, 'torch'))}.")
    roles = {e: entry["role"] for e, entry in results.experiments.items()}
    varied = [e for e, role in roles.items() if role in ("scale", "left_out")]
    compared = [e for e, role in roles.items() if e not in varied and role != "oneshot"]
    tables = [_digests(results, compared, "digests", "Digests of code and settings, by seed.")]
    if varied:
        caption = "Digests of experiments that vary another one."
        tables.append(_digests(results, varied, "digests-varied", caption))
    return Section("Provenance", bullets=bullets, tables=tables)


def _digests(results: Results, experiments: Sequence[str], id: str, caption: str) -> Table:
    """The digests of the methods that were run on ``experiments``."""
    runs = results.runs[results.runs["experiment"].isin(experiments)]
    results = results.select(experiments, set(runs["method"]))
    digests = runs.sort_values("seed").groupby(["method", "experiment"])["digest"]
    digests = digests.agg(" ".join).to_dict()
    return Table(
        id,
        caption,
        tuple(Column(entry["title"]) for entry in results.experiments.values()),
        tuple(
            Row(
                method,
                results.label(method),
                tuple(Cell(digests.get((method, e), MISSING)) for e in results.experiments),
                FAMILIES[results.methods[method]["family"]],
            )
            for family in FAMILIES
            for method in results.family(family)
        ),
    )
