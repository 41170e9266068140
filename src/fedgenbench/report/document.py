"""The report of a grid of runs: an overview, a page for each paper, one for how it was run, one for cost.

Each is an HTML page and a PDF from the same parts, and stands alone. All give equal bytes for equal
input, and every number comes from the results. What was measured, times and memory, stands apart.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fedgenbench.core.files import atomic_path, write_text
from fedgenbench.core.wording import counted
from fedgenbench.report.answers import SYMBOLS
from fedgenbench.report.forest import Forest
from fedgenbench.report.jobs import jobs_behind, jobs_section
from fedgenbench.report.overview import (
    controls,
    cost_summary,
    cuts,
    data,
    provenance,
    standings,
    summary,
    what_ran,
)
from fedgenbench.report.rendering import HTML
from fedgenbench.report.results import Results
from fedgenbench.report.scoreboard import address, claim_effects, comparisons, scoreboard
from fedgenbench.report.section import Illustration, Section
from fedgenbench.report.tables import Table, apart
from fedgenbench.report.verdicts import VERDICTS

TEMPLATES = resources.files("fedgenbench.report") / "templates"
OVERVIEW, SETUP, COSTS = "report", "setup", "costs"


@dataclass(frozen=True)
class Report:
    """What a report is made from.

    sections: the systems' parts, in order; those with an answer or claims are papers'.
    cards: the datasets' card.json: title, classes and domains (names), counts (part -> images),
        works (a list of work, licence, by, url) and, optionally, notes (sentences).
    cuts: settings that this scale cuts: experiment, setting, here, paper, reason.
    remark: a sentence that stands first, on where the numbers come from.
    """

    title: str
    results: Results
    sections: Sequence[Section]
    cards: Sequence[Mapping[str, Any]]
    cuts: Sequence[Mapping[str, str]]
    remark: str = ""


@dataclass(frozen=True)
class Page:
    """One page, ``name``.html and ``name``.pdf; ``short``: what links to it are called."""

    name: str
    short: str
    title: str
    summary: Section
    sections: Sequence[Section]
    papers: Sequence[Section] = ()


def build_report(report: Report, folder: Path) -> list[Path]:
    """Writes all pages and returns their paths.

    ``report`` is the overview, with links to the others: one named after each paper's system,
    ``setup``, and ``costs`` with what was measured. All but the last are equal to the byte whenever
    the same code runs with the same settings; that one is of this machine and this time.
    """
    folder = Path(folder)
    papers = [section for section in report.sections if section.answer or section.claims]
    others = [section for section in report.sections if section not in papers]
    titles = {name: entry["title"] for name, entry in report.results.experiments.items()}
    setup = [
        *others,
        what_ran(report.results),
        controls(report.results),
        *cuts(report.cuts, titles),
        *data(report.cards),
        provenance(report.results),
    ]
    costs = [
        Section(section.title, tables=measured)
        for section in (*papers, *setup)
        if (measured := apart(section.tables)[1])
    ]
    about = summary(report.results, papers)
    about = replace(about, text=f"{report.remark}\n\n{about.text}")
    board = scoreboard(papers)
    first = [*([board] if board else []), *standings(report.results)]
    pages = [
        Page(OVERVIEW, "Overview", report.title, about, first, papers),
        *(_paper(report, section) for section in papers),
        Page(
            SETUP,
            "How it was run",
            f"{report.title}: how it was run",
            Section("Summary", about.text),
            [replace(section, tables=apart(section.tables)[0]) for section in setup],
        ),
        Page(
            COSTS,
            "Cost",
            f"{report.title}: what it cost, measured on this machine",
            cost_summary(report.results),
            [*costs, *jobs_section(report.results, titles)],
        ),
    ]
    return [path for page in pages for path in _write(page, pages, report.results, folder)]


def _paper(report: Report, section: Section) -> Page:
    """The page of a paper: what was run and what it shows, claims, tables and figures."""
    kept, _ = apart(section.tables)
    first, *shown = section.paragraphs or [""]
    parts = [
        Section("What was run", first),
        Section("What it shows", "\n\n".join(shown), forests=section.forests),
        Section("Tables", tables=kept),
        Section("Figures", figures=section.figures),
        Section("Images by client and class", sheets=section.sheets, printed=section.printed),
        Section("Claims and their evidence", claims=section.claims),
        Section("What the paper prints", bullets=section.bullets),
        Section("Not run here, and how", absent=section.absent),
    ]
    return Page(
        section.name,
        section.title.partition(":")[0],
        f"{section.title} ({report.title})",
        Section("Summary", report.remark),
        [part for part in parts if part != Section(part.title)],
        [section],
    )


def _write(page: Page, pages: Sequence[Page], results: Results, folder: Path) -> list[Path]:
    """``page`` as HTML and PDF."""
    path = folder / page.name
    # Named here, so that an edit of any of them is seen as one of the report.
    style, script = (
        Markup((TEMPLATES / name).read_text(encoding="utf-8"))
        for name in ("report.css", "report.js")
    )
    html = HTML.get_template("report.html").render(
        style=style,
        script=script,
        parts=HTML.get_template("parts.html").module,
        page=page,
        pages=pages,
        overview=page.name == OVERVIEW,
        jobs=jobs_behind(results, page.sections) if page.name != COSTS else {},
        claim_effects=claim_effects,
        comparisons=comparisons,
        address=address,
        tones=VERDICTS,
        symbols=SYMBOLS,
    )
    write_text(path.with_suffix(".html"), html)

    with atomic_path(path.with_suffix(".pdf")) as temporary:
        temporary.write_bytes(_pdf(page))
    return [path.with_suffix(".html"), path.with_suffix(".pdf")]


def write_item(item: Table | Illustration, path: Path) -> None:
    """A table or a figure as an HTML page of its own, in the look of the report."""
    page = HTML.get_template("item.html").render(
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        table=item if isinstance(item, Table) else None,
        figure=item if isinstance(item, Illustration) else None,
    )
    write_text(path, page)


def _pdf(page: Page) -> bytes:
    """``page`` set by typst."""
    import matplotlib
    import typst

    from fedgenbench.report.glyphs import lacking, with_code_points

    # The text reaches typst as data, never as markup, so nothing has to be escaped.
    content: dict[str, Any] = {
        "title": page.title,
        "summary": _plain(page.summary),
        "papers": [
            {
                "title": paper.title.partition(":")[0],
                "answer": paper.answer
                and asdict(paper.answer)
                | {"tone": paper.answer.tone, "symbol": paper.answer.symbol},
                "forest": _drawn(claim_effects(paper)),
            }
            for paper in page.papers
        ],
        "sections": [_plain(section) for section in page.sections],
    }
    text = json.dumps(content, ensure_ascii=False)
    if lost := lacking(text):
        content["summary"]["paragraphs"].append(
            f"The fonts of this file lack {counted(len(lost), 'character')} of names here, which "
            f"stand as their code points; {page.name}.html shows them."
        )
        text = json.dumps(content, ensure_ascii=False)
    pdf: bytes = typst.compile(  # type: ignore[call-overload]  # the stub has one type for all inputs
        (TEMPLATES / "report.typ").read_bytes(),
        format="pdf",
        sys_inputs={"content": with_code_points(text)},
        ignore_system_fonts=True,
        font_paths=[str(Path(matplotlib.get_data_path(), "fonts", "ttf"))],
        timestamp=0,
    )
    return pdf


def _drawn(forest: Forest) -> dict[str, Any]:
    return {
        "id": forest.id,
        "caption": forest.caption,
        "panels": forest.panels,
        "published": forest.shows_published,
    }


def _plain(section: Section) -> dict[str, Any]:
    return {
        "title": section.title,
        "paragraphs": section.paragraphs,
        "bullets": list(section.bullets),
        "tables": [asdict(table) for table in section.tables],
        "figures": [asdict(figure) for figure in (*section.figures, *section.printed)],
        "forests": [_drawn(forest) for forest in section.forests],
        "claims": [
            {
                "id": claim.id,
                "text": claim.text,
                "verdict": claim.verdict,
                "tone": VERDICTS[claim.verdict],
                "symbol": SYMBOLS[VERDICTS[claim.verdict]],
                "evidence": claim.evidence,
                "source": claim.source,
                "forest": _drawn(comparisons(claim)),
            }
            for claim in section.claims
        ],
        "absent": [dict(entry) for entry in section.absent],
    }
