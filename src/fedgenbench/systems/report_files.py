"""The report of all systems as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedgenbench.report.document import Report, build_report
from fedgenbench.report.results import Results
from fedgenbench.report.section import read_figures
from fedgenbench.systems.base import parts
from fedgenbench.systems.claims import judged


@dataclass(frozen=True)
class Beside:
    """What a report takes beside the results, as ``Report`` does; ``figures`` is their folder."""

    scale: str
    figures: Path
    cards: Sequence[Mapping[str, Any]]
    cuts: Sequence[Mapping[str, str]]
    remark: str = ""


def write_report(results: Results, beside: Beside, folder: Path) -> list[Path]:
    """Writes the report, with the claims judged."""
    figures, claims = read_figures(beside.figures), judged(results)
    sections = [
        replace(section, claims=claims.get(name, ()))
        for name, system in parts("section")
        if (section := system.section(results, figures.get(name, ())))
    ]
    title = f"FedGenBench at {beside.scale} scale"
    report = Report(title, results, sections, beside.cards, beside.cuts, beside.remark)
    return build_report(report, folder)
