"""The figures of all systems as files."""

from __future__ import annotations

from pathlib import Path

from fedgenbench.report.figures import emit, write_order
from fedgenbench.report.results import Results
from fedgenbench.systems.base import parts


def write_figures(results: Results, folder: Path) -> list[Path]:
    """Writes every figure as SVG, PNG and PDF, and which of them belong to which section."""
    drawn = {name: system.figures(results) for name, system in parts("figures")}
    files = [path for group in drawn.values() for figure in group for path in emit(figure, folder)]
    return [*files, write_order(drawn, folder)]
