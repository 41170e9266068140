"""The figures of the federated field."""

from fedgenbench.report.figures import (
    Figure,
    accuracy_curves,
    communication,
    final_accuracies,
)
from fedgenbench.report.results import Results


def field_figures(results: Results) -> list[Figure]:
    results = results.main
    if results.runs.empty:
        return []
    compared = set(results.methods) - set(results.family("control"))
    ran = results.runs.loc[results.runs["method"].isin(compared), "experiment"].unique()
    return [
        # Controls alone are drawn as lines to compare with, and nothing would be compared.
        *(
            accuracy_curves(results, experiment)
            for experiment in results.experiments
            if experiment in ran
        ),
        final_accuracies(results, "personal"),
        communication(results, "personal"),
    ]
