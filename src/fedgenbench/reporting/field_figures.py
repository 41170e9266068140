"""The figures of the federated field."""

from fedgenbench.reporting.figures import (
    Figure,
    accuracy_curves,
    communication,
    final_accuracies,
)
from fedgenbench.reporting.results import Results


def field_figures(results: Results) -> list[Figure]:
    results = results.main
    return [
        *(accuracy_curves(results, experiment) for experiment in results.experiments),
        final_accuracies(results, "personal"),
        communication(results, "personal"),
    ]
