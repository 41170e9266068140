"""The report's section on all methods of the grid."""

from collections.abc import Sequence

from fedgenbench.report.results import Results
from fedgenbench.report.section import Illustration, Section
from fedgenbench.systems.field.tables import tables


def section(results: Results, figures: Sequence[Illustration]) -> Section:
    """The part of the report on all methods beside each other."""
    return Section(
        title="The federated field",
        text="Every method shares the split, the initial weights and the order of batches of a "
        "repetition. Scores are those of the last round; no round is chosen by its test score.",
        tables=tables(results),
        figures=figures,
        name="field",
    )
