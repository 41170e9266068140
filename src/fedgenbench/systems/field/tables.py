"""The tables of the federated field: every method of the grid beside the controls."""

from fedgenbench.report.results import Results
from fedgenbench.report.tables import Table, domain_table, method_table


def field_tables(results: Results) -> list[Table]:
    """Personalised accuracy where labels are skewed; global and personalised where domains are."""
    results = results.main
    by_label = [key for key in results.experiments if not results.domains(key)]
    tables = []
    if by_label:
        caption = "Personalised accuracy under label skew"
        tables.append(method_table(_played(results, by_label), "personalised", caption))
    for key, entry in results.experiments.items():
        if key in by_label:
            continue
        played, title = _played(results, [key]), entry["title"]
        both = f"{title}: global and personalised accuracy"
        tables += [
            method_table(played, f"{key}_summary", both, ("global", "personal")),
            domain_table(played, key, f"{key}_global", f"{title}: global model", ("global",)),
            domain_table(
                played, key, f"{key}_personal", f"{title}: personalised models", ("personal",)
            ),
        ]
    return tables


def _played(results: Results, experiments: list[str]) -> Results:
    """The part on these experiments, with the methods that they compare."""
    runs = results.runs[results.runs["experiment"].isin(experiments)]
    return results.select(experiments=experiments, methods=set(runs["method"]))
