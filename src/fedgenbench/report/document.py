"""The report of a grid of runs: one HTML file and one PDF from the same parts.

Both are self-contained and give equal bytes for equal input. Every number comes from the results.
What was measured, times and memory, stands in a second page and PDF.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from fedgenbench.core.files import atomic_path, write_text
from fedgenbench.core.wording import counted
from fedgenbench.report.overview import (
    controls,
    cost_summary,
    cuts,
    data,
    provenance,
    scoreboard,
    summary,
    what_ran,
)
from fedgenbench.report.rendering import HTML
from fedgenbench.report.results import Results
from fedgenbench.report.section import Section
from fedgenbench.report.tables import apart


@dataclass(frozen=True)
class Report:
    """What a report is made from.

    sections: the papers' parts, in order.
    cards: the datasets' card.json: title, classes and domains (names), counts (part -> images),
        works (a list of work, licence, by, url) and, optionally, notes (sentences).
    cuts: settings that this scale cuts: setting, here, paper, reason.
    remark: a sentence that stands first, on where the numbers come from.
    """

    title: str
    results: Results
    sections: Sequence[Section]
    cards: Sequence[Mapping[str, Any]]
    cuts: Sequence[Mapping[str, str]]
    remark: str = ""


def build_report(report: Report, folder: Path) -> list[Path]:
    """Writes the report and, apart, what was measured; returns the paths.

    ``report.html`` and ``report.pdf`` are equal to the byte whenever the same code runs with the same
    settings, ``costs.html`` and ``costs.pdf`` are of this machine and this time.
    """
    folder = Path(folder)
    sections = [
        *scoreboard(report.sections),
        what_ran(report.results),
        *report.sections,
        controls(report.results),
        *cuts(report.cuts),
        *data(report.cards),
        provenance(report.results),
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
    first = summary(report.results, report.sections)
    if report.remark:
        first = replace(first, text=f"{report.remark}\n\n{first.text}")
    return [
        *_write(folder / "report", report.title, first, sections),
        *_write(folder / "costs", title, cost_summary(report.results), costs),
    ]


def _write(path: Path, title: str, summary: Section, sections: Sequence[Section]) -> list[Path]:
    """``path`` as ``.html`` and ``.pdf``."""
    import matplotlib
    import typst

    from fedgenbench.report.glyphs import lacking, with_code_points

    page = HTML.get_template("report.html").render(title=title, summary=summary, sections=sections)
    write_text(path.with_suffix(".html"), page)

    # The text reaches typst as data, never as markup, so nothing has to be escaped.
    content: dict[str, Any] = {
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
    pdf = typst.compile(  # type: ignore[call-overload]  # the stub has one type for all inputs
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
