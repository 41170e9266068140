"""The tables of the federated field: every method of the grid beside the controls."""

from collections.abc import Sequence

from fedgenbench.report.learning import LATE, STEEP, climbs
from fedgenbench.report.method_tables import accuracies, by_method
from fedgenbench.report.notes import alone_is_best
from fedgenbench.report.results import METRICS, Results
from fedgenbench.report.tables import Cell, Column, Row, Table
from fedgenbench.systems.field.robustness_table import robustness_tables
from fedgenbench.systems.field.statistics_table import statistics_tables


def tables(results: Results) -> list[Table]:
    """Personalised accuracy where labels are skewed; global and personalised where domains are."""
    whole, results = results, results.main
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
    ends = (learning_table(results), statistics_tables(whole), robustness_tables(whole))
    return [*tables, *(table for end in ends for table in end)]


def learning_table(results: Results) -> list[Table]:
    """Whether the controls had learnt what there was to learn: what claims are not judged without."""
    rows = []
    for experiment, entry in results.experiments.items():
        for climb in climbs(results, experiment):
            cells = (
                Cell(f"{100 * climb.whole:.1f}"),
                Cell(f"{100 * climb.late:.1f}"),
                Cell("still climbing" if climb.steep else "near its plateau"),
            )
            label = results.label(climb.method)
            rows.append(Row(f"{experiment}_{climb.method}", label, cells, entry["title"]))
    if not rows:
        return []
    columns = (Column("Climb", unit="points"), Column("Late", unit="points"), Column("At the end"))
    notes = (
        "Personalised accuracy, mean over clients and seeds. Climb: from a random guess to the last "
        f"round. Late: in the last {LATE:.0%} of the rounds. Still climbing: late is more than "
        f"{STEEP:.0%} of the climb; then no claim is contradicted there.",
    )
    return [Table("learning", "Had methods learnt?", columns, tuple(rows), notes, "Control")]


def _played(results: Results, experiments: list[str]) -> Results:
    """The part on these experiments, with the methods that they compare."""
    runs = results.runs[results.runs["experiment"].isin(experiments)]
    return results.select(experiments=experiments, methods=set(runs["method"]))


def method_table(
    results: Results, id: str, caption: str, metrics: Sequence[str] = ("personal",)
) -> Table:
    """Methods by experiments: a column per metric, and one for communication up and down."""
    columns, contents = [], []
    for experiment, entry in results.experiments.items():
        for metric in metrics:
            columns.append(Column(METRICS[metric], entry["title"], "%", experiment=experiment))
            contents.append(accuracies(results, experiment, metric))
        columns.append(Column("Comm.", entry["title"], "MB", experiment=experiment))
        contents.append(_communication(results, experiment))
    notes = ["Comm.: MB up and down, mean per client and round."]
    notes += [
        note for e in results.experiments for m in metrics if (note := alone_is_best(results, e, m))
    ]
    return by_method(results, id, caption, columns, contents, notes)


def domain_table(
    results: Results,
    experiment: str,
    id: str,
    caption: str,
    metrics: Sequence[str] = ("global", "personal"),
) -> Table:
    """Methods by the domains of one experiment, with the mean over clients, for each metric."""
    columns, contents = [], []
    for metric in metrics:
        for head, domain in (("Mean", None), *((d, d) for d in results.domains(experiment))):
            columns.append(Column(head, METRICS[metric], "%", experiment=experiment))
            contents.append(accuracies(results, experiment, metric, domain))
    results = results.select(experiments=[experiment])
    notes = ["Accuracies in %. Mean: plain mean over clients."]
    notes += [note for m in metrics if (note := alone_is_best(results, experiment, m))]
    return by_method(results, id, caption, columns, contents, notes)


def _communication(results: Results, experiment: str) -> dict[str, Cell]:
    runs = results.runs[results.runs["experiment"] == experiment]
    megabytes = (runs["bytes_up"] + runs["bytes_down"]) / 1e6
    cells = {}
    for method, values in megabytes.groupby(runs["method"]):
        if values.notna().any():
            interval = results.interval(values)
            tiny = 0 < interval.mean < 0.01
            cells[method] = Cell("<0.01" if tiny else f"{interval.mean:.2f}", False, interval)
    return cells
