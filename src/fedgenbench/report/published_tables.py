"""What a published.yaml says of a paper's own numbers, as sentences and as a table."""

from fedgenbench.core.wording import counted
from fedgenbench.report.published import NOTHING_PUBLISHED, Published, PublishedCell
from fedgenbench.report.results import Results
from fedgenbench.report.statistics import Interval
from fedgenbench.report.tables import Cell, Column, Row, Table


def published_bullets(stated: Published) -> list[str]:
    """Whether cells of the paper are at hand, and its figures in words."""
    known = sum(len(c.methods) * len(c.datasets) * len(c.clients) for c in _known(stated))
    cells = f"Published: {counted(known, 'cell')} of the paper's tables, in a table of their own."
    figures = (f"{f.text} ({f.status}; {f.source})" for f in stated.figures)
    return [cells if known else NOTHING_PUBLISHED, *figures]


def published_tables(results: Results, stated: Published, paper: str) -> list[Table]:
    """The cells that are at hand: methods by data set and number of clients; no table without one."""
    known = _known(stated)
    places = list(dict.fromkeys((d, n) for c in known for d in c.datasets for n in c.clients))
    methods = list(dict.fromkeys(method for c in known for method in c.methods))
    if not known:
        return []
    rows = []
    for method in methods:
        cells = [stated.cell(method, *place) for place in places]
        label = results.label(method) if method in results.methods else method
        rows.append(Row(method, label, tuple(_printed(c.value if c else None) for c in cells)))
    sources = dict.fromkeys(f"{cell.status}, {cell.source}" for cell in known)
    return [
        Table(
            f"{paper}_published",
            "What the paper prints",
            tuple(Column(counted(clients, "client"), dataset, "%") for dataset, clients in places),
            tuple(rows),
            ("Accuracies in %.", f"Source: {'; '.join(sources)}."),
        )
    ]


def _known(stated: Published) -> list[PublishedCell]:
    return [cell for cell in stated.cells if cell.value is not None]


def _printed(value: float | None) -> Cell:
    return Cell() if value is None else Cell(f"{value:.2f}", False, Interval(value, None, None, 0))
