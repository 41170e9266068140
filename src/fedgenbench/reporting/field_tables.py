"""The tables of the federated field: every method of the grid beside the controls."""

from fedgenbench.reporting.results import Results
from fedgenbench.reporting.tables import Table, domain_table, method_table


def field_tables(results: Results) -> list[Table]:
    """Personalised accuracy where labels are skewed; global and personalised where domains are."""
    by_label = [key for key in results.experiments if not results.domains(key)]
    tables = []
    if by_label:
        tables.append(
            method_table(
                results.select(experiments=by_label),
                "personalised",
                "Personalised accuracy under label skew",
            )
        )
    for key in results.experiments:
        if key in by_label:
            continue
        title = results.experiments[key]["title"]
        tables += [
            method_table(
                results.select(experiments=[key]),
                f"{key}_summary",
                f"{title}: global and personalised accuracy",
                ("global", "personal"),
            ),
            domain_table(results, key, f"{key}_global", f"{title}: global model", ("global",)),
            domain_table(
                results, key, f"{key}_personal", f"{title}: personalised models", ("personal",)
            ),
        ]
    return tables
