"""Tables whose rows are methods: a random guess and every family, in the order of the settings."""

from collections.abc import Sequence

from fedgenbench.report.notes import table_notes
from fedgenbench.report.results import FAMILIES, Results
from fedgenbench.report.tables import Cell, Column, Row, Table, percent


def by_method(
    results: Results,
    id: str,
    caption: str,
    columns: Sequence[Column],
    contents: Sequence[dict[str, Cell]],
    notes: Sequence[str],
) -> Table:
    """A random guess and every method in rows, by family.

    ``contents`` holds one mapping from method to cell per column.
    """

    def row(method: str, label: str, family: str) -> Row:
        cells = tuple(column.get(method, Cell()) for column in contents)
        return Row(method, label, cells, FAMILIES[family])

    rows = [row("random_guess", "Random guess", "control")]
    for family in FAMILIES:
        rows += [row(method, results.label(method), family) for method in results.family(family)]
    notes = (*notes, *table_notes(results))
    return Table(id, caption, tuple(columns), tuple(rows), notes)


def accuracies(
    results: Results, experiment: str, metric: str, domain: str | None = None
) -> dict[str, Cell]:
    """A column for ``by_method``: ``Results.by_seed``, the significantly best method in bold."""
    frame = results.by_seed(experiment, metric, domain)
    best = results.best(frame)
    cells = {"random_guess": percent(results.guess(experiment))}
    for method, values in frame.items():
        cells[method] = percent(results.interval(values), bold=method in best)
    return cells
