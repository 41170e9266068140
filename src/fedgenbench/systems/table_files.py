"""The tables of all systems as files."""

from __future__ import annotations

from pathlib import Path

from fedgenbench.core.files import write_json, write_text
from fedgenbench.report.collect import summary
from fedgenbench.report.results import Results
from fedgenbench.report.table_formats import emit, write_paper
from fedgenbench.report.tables import apart
from fedgenbench.systems.base import parts, systems


def write_tables(results: Results, folder: Path) -> list[Path]:
    """Writes every table in four formats, a paper of them all, and above ``folder`` what DVC compares."""
    files: list[Path] = []
    collected = []
    for name, system in parts("tables"):
        shown, measured = apart(system.tables(results))
        for table in (*shown, *measured):
            files += emit(table, folder)
        collected.append((systems()[name].title or name, [table.id for table in shown]))
    files.append(write_paper([part for part in collected if part[1]], folder))
    # DVC wants metrics and plots outside the folders that it tracks as a whole.
    metrics, curves = summary(results.scores, results.rounds, results.fedlmg)
    beside = [folder.parent / name for name in ("metrics.json", "curves.csv")]
    write_json(beside[0], metrics)
    write_text(beside[1], curves.to_csv(index=False))
    return files + beside
