"""The tables of all systems as files."""

from __future__ import annotations

from pathlib import Path

from fedgenbench.core.files import write_json, write_text
from fedgenbench.report.collect import summary
from fedgenbench.report.results import Results
from fedgenbench.report.tables import apart, emit
from fedgenbench.systems.base import parts


def write_tables(results: Results, folder: Path) -> list[Path]:
    """Writes every table in four formats, and above ``folder`` what DVC compares."""
    files: list[Path] = []
    made = (table for _, system in parts("tables") for table in system.tables(results))
    for table in (each for group in apart(made) for each in group):
        files += emit(table, folder)
    # DVC wants metrics and plots outside the folders that it tracks as a whole.
    metrics, curves = summary(results.scores, results.rounds, results.fedlmg)
    beside = [folder.parent / name for name in ("metrics.json", "curves.csv")]
    write_json(beside[0], metrics)
    write_text(beside[1], curves.to_csv(index=False))
    return files + beside
