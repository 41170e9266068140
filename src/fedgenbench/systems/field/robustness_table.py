"""The table of rules of aggregation, beside each other without and with poisoned clients."""

import pandas as pd

from fedgenbench.report.notes import table_notes
from fedgenbench.report.results import Results
from fedgenbench.report.table_specs import Numbers, TableSpec, share
from fedgenbench.report.tables import Table


def robustness_tables(results: Results) -> list[Table]:
    """One table, where some experiment says how many clients are poisoned."""
    shares = {
        experiment: entry["poisoned"]["share"]
        for experiment, entry in results.experiments.items()
        if entry.get("poisoned") and not results.by_seed(experiment, "personal").empty
    }
    if not shares:
        return []
    columns = {e: results.by_seed(e, "personal") for e in sorted(shares, key=lambda e: shares[e])}
    variants = [m for m in results.methods if any(m in scores for scores in columns.values())]
    rows = [
        Numbers(
            f"robust/{variant}",
            results.label(variant),
            pd.DataFrame(
                {e: scores[variant] for e, scores in columns.items() if variant in scores}
            ),
        )
        for variant in variants
    ]
    worst = max(shares, key=lambda e: shares[e])
    factor = results.experiments[worst]["poisoned"]["factor"]
    spec = TableSpec(
        "robustness",
        "Rules of aggregation under poisoned clients",
        tuple(share(e, f"{100 * shares[e]:.0f} % poisoned", "Accuracy") for e in columns),
        (
            f"A poisoned client sends its update times {factor:g}. Accuracy on clients' own "
            "test images, of poisoned ones too, mean over clients, after the last round.",
        ),
        "Rule",
    )
    return [spec.table(results, rows, table_notes(results.select(methods=variants), bold=False))]
