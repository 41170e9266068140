"""The report's own sections, around those of the systems: summary, what ran, controls, provenance."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fedgenbench.core.wording import counted
from fedgenbench.report.notes import ALONE, alone_is_best, band_warnings
from fedgenbench.report.results import METRICS, Results, distinct
from fedgenbench.report.section import Section
from fedgenbench.report.statistics import Interval
from fedgenbench.report.tables import Cell, Column, Row, Table, percent
from fedgenbench.report.verdicts import VERDICTS


def summary(results: Results, papers: Sequence[Section]) -> Section:
    """What was run, and how the claims stand."""
    runs = results.runs
    scales = distinct(runs, "scale")
    sentences = [
        f"{counted(len(runs), 'run')} of {counted(runs['method'].nunique(), 'method')} on "
        f"{counted(runs['experiment'].nunique(), 'experiment')} at {' and '.join(scales)} scale, on "
        f"{' and '.join(distinct(runs, 'hardware'))}."
    ]
    sentences += [f"Numbers at {s} scale are not the papers'." for s in scales if s != "paper"]
    verdicts = Counter(claim.verdict for paper in papers for claim in paper.claims)
    if verdicts:
        tally = ", ".join(f"{verdicts[v]} {v}" for v in VERDICTS if verdicts[v])
        sentences.append(f"Of {counted(verdicts.total(), 'claim')} of the papers: {tally}.")
    return Section("Summary", " ".join(sentences))


def standings(results: Results) -> list[Section]:
    """The highest method of each experiment beside the controls; nothing without runs."""
    lines = [line for e in results.main.experiments if (line := _headline(results, e))]
    text = "Who is ahead on each experiment, whichever paper it is of, beside the controls."
    return [Section("The highest methods", text, lines)] if lines else []


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


def cuts(cuts: Sequence[Mapping[str, str]], titles: Mapping[str, str]) -> list[Section]:
    """What the scale cuts: a block per reason, a line per setting and pair of values."""
    places: dict[tuple[str, ...], list[str]] = {}
    for cut in cuts:
        key = tuple(cut[k] for k in ("reason", "setting", "here", "paper"))
        places.setdefault(key, []).append(titles.get(cut["experiment"], cut["experiment"]))
    if not places:
        return []
    rows = [
        Row(
            f"{setting}-{number}",
            setting.replace("_", " ").replace(".", " "),
            (Cell(here), Cell(paper), Cell("; ".join(where))),
            reason,
        )
        for number, ((reason, setting, here, paper), where) in enumerate(
            sorted(places.items(), key=lambda each: each[0])
        )
    ]
    table = Table(
        "cuts",
        "Settings that differ from the papers' because of the scale, by reason",
        tuple(Column(label) for label in ("Here", "Paper", "On")),
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
    return Section("Provenance", bullets=bullets)
