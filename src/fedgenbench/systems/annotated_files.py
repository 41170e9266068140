"""Every table and figure as a page of its own, for Snakemake's report."""

from __future__ import annotations

from pathlib import Path

from fedgenbench.report.document import write_item
from fedgenbench.report.results import Results
from fedgenbench.report.section import Illustration, read_figures
from fedgenbench.report.tables import Table, apart
from fedgenbench.systems.base import parts


def write_annotated(results: Results, figures: Path, folder: Path) -> list[Path]:
    """Writes ``Tables/<system>/<id>.html`` and ``Figures/...`` below ``folder``."""
    items: dict[Path, Table | Illustration] = {
        folder / "Tables" / name / f"{table.id}.html": table
        for name, system in parts("tables")
        for table in apart(system.tables(results))[0]
    }
    items |= {
        folder / "Figures" / name / f"{figure.id}.html": figure
        for name, drawn in read_figures(figures).items()
        for figure in drawn
    }
    for path, item in items.items():
        write_item(item, path)
    return list(items)
