"""The table of the runs that keep running batch-norm statistics, beside those that do not."""

import pandas as pd

from fedgenbench.report.notes import DIFFERENCES, table_notes
from fedgenbench.report.results import METRICS, Results
from fedgenbench.report.table_specs import Numbers, TableSpec, lead, share
from fedgenbench.report.tables import Table

SCORES = ("global", "personal")
STATISTICS = TableSpec(
    "statistics",
    "Batch norm's statistics: of the weights, or running averages",
    tuple(
        shown
        for metric in SCORES
        for shown in (
            share((metric, "weights"), "of the weights", METRICS[metric]),
            share((metric, "running"), "running", METRICS[metric]),
            lead((metric, "lead"), "difference", METRICS[metric]),
        )
    ),
    (
        "Of the weights: exact, over the images that a model was trained on, at the end of each "
        "training. Running: averages on the way, which lag behind; averaged over clients. The rounds "
        "alone differ: both start from the same weights, with the same warm start.",
        DIFFERENCES,
    ),
)


def statistics_tables(results: Results) -> list[Table]:
    """One table, where some variant keeps running statistics."""
    rows, methods = [], dict[str, None]()
    variants = [m for m, entry in results.methods.items() if entry.get("statistics") == "running"]
    for experiment, entry in results.experiments.items():
        for variant in variants:
            method, numbers = results.methods[variant]["of"], {}
            for metric in SCORES:
                scores = results.by_seed(experiment, metric)
                if {method, variant} <= set(scores):
                    weights, running = scores[method], scores[variant]
                    numbers[metric, "weights"], numbers[metric, "running"] = weights, running
                    numbers[metric, "lead"] = weights - running
            if numbers:
                methods |= {method: None, variant: None}
                label, by_seed = results.label(method), pd.DataFrame(numbers)
                rows.append(Numbers(f"{experiment}/{method}", label, by_seed, entry["title"]))
    if not rows:
        return []
    shown = results.select(methods=list(methods))
    return [STATISTICS.table(results, rows, table_notes(shown, bold=False))]
