"""The report of a grid of runs: one HTML file and one PDF from the same parts.

Both are self-contained and give equal bytes for equal input. Every number comes from the results.
What was measured, times and memory, stands in a second page and PDF.
"""

import base64
import json
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import atomic_path, read_json, write_text
from fedgenbench.core.wording import counted
from fedgenbench.report.rendering import HTML
from fedgenbench.report.results import FAMILIES, METRICS, Results, distinct
from fedgenbench.report.statistics import Interval
from fedgenbench.report.tables import (
    ALONE,
    MISSING,
    Cell,
    Column,
    Row,
    Table,
    alone_is_best,
    apart,
    band_warnings,
    percent,
)

# Verdict -> tone of its cell; the order is that of the tally.
VERDICTS = {
    "supported": "good",
    "contradicted": "bad",
    "undecided": "open",
    "not testable here": "mute",
}


@dataclass(frozen=True)
class Claim:
    """What a paper says can be seen, and the verdict (a key of ``VERDICTS``) of the runs."""

    id: str
    text: str
    source: str
    verdict: str
    evidence: str

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise UserError(
                f"claim {self.id} has the verdict {self.verdict!r}: use one of {', '.join(VERDICTS)}"
            )


@dataclass(frozen=True)
class Picture:
    """A figure read back from its files: the whole SVG document and its width in inches."""

    id: str
    caption: str
    svg: str
    width: float

    @property
    def data_uri(self) -> str:
        # An image of its own: inlined drawings would share one space of element ids.
        encoded = base64.b64encode(self.svg.encode()).decode()
        return f"data:image/svg+xml;base64,{encoded}"


@dataclass(frozen=True)
class Section:
    """A part of the report. Blank lines in ``text`` part paragraphs; claims go to the scoreboard."""

    title: str
    text: str = ""
    bullets: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Picture] = ()
    claims: Sequence[Claim] = ()

    @property
    def paragraphs(self) -> list[str]:
        return [" ".join(part.split()) for part in self.text.split("\n\n") if part.strip()]


@dataclass(frozen=True)
class Report:
    """What a report is made from.

    sections: the papers' parts, in order.
    cards: the datasets' card.json: title, classes and domains (names), counts (part -> images),
        works (a list of work, licence, by, url) and, optionally, notes (sentences).
    cuts: settings that this scale cuts: setting, here, paper, reason.
    """

    title: str
    results: Results
    sections: Sequence[Section]
    cards: Sequence[Mapping[str, Any]]
    cuts: Sequence[Mapping[str, str]]


def read_picture(path: Path) -> Picture:
    """The figure whose SVG is at ``path``, with the caption that lies beside it."""
    path = Path(path)
    return Picture(svg=path.read_text(encoding="utf-8"), **read_json(path.with_suffix(".json")))


def read_raster(path: Path, id: str, caption: str) -> Picture:
    """A PNG as a picture, each pixel kept sharp: an SVG that holds it, at 100 pixels an inch at most."""
    content = Path(path).read_bytes()
    wide, high = struct.unpack(">II", content[16:24])  # of the header chunk, always the first
    encoded = base64.b64encode(content).decode()
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" '
        f'viewBox="0 0 {wide} {high}"><image width="{wide}" height="{high}" '
        'image-rendering="optimizeSpeed" style="image-rendering: pixelated" '
        f'href="data:image/png;base64,{encoded}"/></svg>'
    )
    return Picture(id, caption, svg, min(wide / 100, 6.5))


def build_report(report: Report, folder: Path) -> list[Path]:
    """Writes the report and, apart, what was measured; returns the paths.

    ``report.html`` and ``report.pdf`` are equal to the byte whenever the same code runs with the same
    settings, ``costs.html`` and ``costs.pdf`` are of this machine and this time.
    """
    folder = Path(folder)
    sections = [
        *_scoreboard(report.sections),
        _what_ran(report.results),
        *report.sections,
        _controls(report.results),
        *_cuts(report.cuts),
        *_data(report.cards),
        _provenance(report.results),
    ]
    parted = [apart(section.tables) for section in sections]
    costs = [
        Section(section.title, tables=measured)
        for section, (_, measured) in zip(sections, parted, strict=True)
        if measured
    ]
    sections = [
        replace(section, tables=tables)
        for section, (tables, _) in zip(sections, parted, strict=True)
    ]
    title = f"{report.title}: what it cost, measured on this machine"
    return [
        *_write(folder / "report", report.title, _summary(report), sections),
        *_write(folder / "costs", title, _cost_summary(report.results), costs),
    ]


def _write(path: Path, title: str, summary: Section, sections: Sequence[Section]) -> list[Path]:
    """``path`` as ``.html`` and ``.pdf``."""
    import matplotlib
    import typst

    from fedgenbench.report.glyphs import lacking, with_code_points

    page = HTML.get_template("report.html").render(title=title, summary=summary, sections=sections)
    write_text(path.with_suffix(".html"), page)

    # The text reaches typst as data, never as markup, so nothing has to be escaped.
    content = {
        "title": title,
        "summary": _plain(summary),
        "sections": [_plain(section) for section in sections],
    }
    text = json.dumps(content, ensure_ascii=False)
    if lost := lacking(text):
        content["summary"]["paragraphs"].append(
            f"The fonts of this file lack {counted(len(lost), 'character')} of names here, which "
            f"stand as their code points; {path.name}.html shows them."
        )
        text = json.dumps(content, ensure_ascii=False)
    template = resources.files("fedgenbench.report") / "templates" / "report.typ"
    pdf = typst.compile(
        template.read_bytes(),
        format="pdf",
        sys_inputs={"content": with_code_points(text)},
        ignore_system_fonts=True,
        font_paths=[str(Path(matplotlib.get_data_path(), "fonts", "ttf"))],
        timestamp=0,
    )
    with atomic_path(path.with_suffix(".pdf")) as temporary:
        temporary.write_bytes(pdf)
    return [path.with_suffix(".html"), path.with_suffix(".pdf")]


def _plain(section: Section) -> dict[str, Any]:
    return asdict(section) | {"paragraphs": section.paragraphs}


def _summary(report: Report) -> Section:
    results = report.results
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
    verdicts = Counter(claim.verdict for section in report.sections for claim in section.claims)
    if verdicts:
        tally = ", ".join(f"{verdicts[v]} {v}" for v in VERDICTS if verdicts[v])
        sentences.append(f"Of {counted(verdicts.total(), 'claim')} of the papers: {tally}.")
    if warnings := len(band_warnings(results.main)):
        sentences.append(f"Warnings about the band of the controls: {warnings}.")
    bullets = [line for e in results.main.experiments if (line := _headline(results, e))]
    return Section("Summary", " ".join(sentences), bullets)


def _cost_summary(results: Results) -> Section:
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


def _scoreboard(sections: Sequence[Section]) -> list[Section]:
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


def _what_ran(results: Results) -> Section:
    runs = results.runs
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
    grid = Table(
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
    rows = []
    roles = {e: entry["role"] for e, entry in results.experiments.items()}
    bases = {
        e: entry["base"] if roles[e] == "left_out" else e
        for e, entry in results.experiments.items()
    }
    grouped = [runs["experiment"].map(bases), runs["experiment"].map(roles) == "left_out"]
    for (experiment, without), own in runs.groupby(grouped, sort=False):
        hours = own["wall_seconds"] / 3600
        cells = (
            *(str(own["method"].nunique()), str(own["seed"].nunique()), str(len(own))),
            *(f"{hours.sum():.2f}", f"{60 * hours.median():.1f}"),
            f"{own['peak_memory_bytes'].max() / 1e9:.1f}",
            *(", ".join(distinct(own, column)) for column in ("device", "engine")),
        )
        title = results.experiments[experiment]["title"]
        id, title = (
            (f"{experiment}-without", f"{title}, without a domain")
            if without
            else (experiment, title)
        )
        rows.append(Row(id, title, tuple(Cell(text) for text in cells)))
    cost = Table(
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
    return Section("What ran", tables=[grid, cost])


def _controls(results: Results) -> Section:
    warnings = band_warnings(results.main)
    text = (
        "Every table holds three controls: a random guess, training on each client alone, and "
        "training on the pooled data. A method outside the band they span is not an error by "
        "itself, but asks for an explanation. "
    )
    text += "These leave it:" if warnings else "None leaves it here."
    return Section("Controls", text, warnings)


def _cuts(cuts: Sequence[Mapping[str, str]]) -> list[Section]:
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


def _data(cards: Sequence[Mapping[str, Any]]) -> list[Section]:
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


def _provenance(results: Results) -> Section:
    runs = results.runs
    bullets = []
    for revision, own in runs.groupby(runs["git_revision"].fillna("unknown")):
        dirty = int(own["git_dirty"].eq(True).sum())
        remark = f", {dirty} of them with uncommitted changes" if dirty else ""
        bullets.append(f"Revision {revision}: {counted(len(own), 'run')}{remark}.")
    bullets.append(f"PyTorch {', '.join(distinct(runs, 'torch'))}.")
    roles = {e: entry["role"] for e, entry in results.experiments.items()}
    varied = [e for e, role in roles.items() if role in ("scale", "left_out")]
    own = [e for e, role in roles.items() if e not in varied and role != "oneshot"]
    tables = [_digests(results, own, "digests", "Digests of code and settings, by seed.")]
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
