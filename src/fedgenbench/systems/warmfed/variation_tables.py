"""WarmFed's tables of experiments that are varied: a domain left out, more clients."""

import pandas as pd

from fedgenbench.report.notes import DIFFERENCES, table_notes
from fedgenbench.report.results import Results
from fedgenbench.report.tables import Cell, Column, Row, Table, percent, points
from fedgenbench.report.words import difference
from fedgenbench.systems.warmfed.image_tables import megabytes
from fedgenbench.systems.warmfed.numbers import belonging, played, traffic


def left_out_table(results: Results) -> Table:
    """T5: the global model on a domain that no client holds."""
    columns, contents, methods, used = [], [], dict[str, None](), list[str]()
    for base in played(results):
        group = results.experiments[base]["title"]
        tables = {
            entry["left_out"]: results.by_seed(name, "global")
            for name, entry in belonging(results, "left_out", base).items()
        }
        if not tables:
            continue
        used += belonging(results, "left_out", base)
        ran = [m for m in results.methods if any(m in table for table in tables.values())]
        methods |= dict.fromkeys(ran)
        average = pd.DataFrame(
            {
                method: pd.DataFrame({d: t[method] for d, t in tables.items()})
                .dropna()
                .mean(axis=1)
                for method in ran
                if all(method in table for table in tables.values())
            }
        )
        for label, table in (("Mean", average), *tables.items()):
            bold = results.best(table)
            columns.append(Column(label, group, "%"))
            contents.append(
                {m: percent(results.interval(v), bold=m in bold) for m, v in table.items()}
            )
        columns.append(Column("− FedAvg", group, "points"))
        contents.append(
            {
                method: points(difference(results, average[method], average["fedavg"]))
                for method in average
                if method != "fedavg" and "fedavg" in average
            }
        )
    rows = [
        Row(
            method,
            results.full_label(method),
            tuple(c.get(method, Cell()) for c in contents),
        )
        for method in methods
    ]
    return Table(
        "warmfed_left_out",
        "Domain generalisation: the global model on a domain that no client holds",
        tuple(columns),
        tuple(rows),
        (
            "Accuracies in % on the test images of the domain in the column's head; the other "
            "domains' clients train. Mean: over the domains. − FedAvg: of the mean.",
            DIFFERENCES,
            *table_notes(results.select(used, list(methods))),
        ),
    )


def communication_table(results: Results) -> Table:
    """T6: accuracy and the traffic of one client in the whole run, by number of clients."""
    columns, contents, used = [], [], []
    methods: dict[str, None] = {}
    for base in played(results):
        for experiment in (base, *belonging(results, "scale", base)):
            used.append(experiment)
            group = results.experiments[experiment]["title"]
            scores = results.by_seed(experiment, "global")
            main = results.main if experiment == base else results
            methods |= dict.fromkeys(m for m in scores if m in main.methods)
            columns.append(Column("Accuracy", group, "%", experiment=experiment))
            contents.append({m: percent(results.interval(v)) for m, v in scores.items()})
            for direction in ("up", "down"):
                table = traffic(results, experiment, direction)
                columns.append(Column(direction.capitalize(), group, "MB", experiment=experiment))
                contents.append({m: megabytes(results.interval(v)) for m, v in table.items()})
    rows = [
        Row(
            method,
            results.label(method),
            tuple(c.get(method, Cell("not run")) for c in contents),
        )
        for method in results.methods
        if method in methods and method not in results.family("control")
    ]
    return Table(
        "warmfed_communication",
        "Communication: one client's traffic in the whole run, by number of clients",
        tuple(columns),
        tuple(rows),
        (
            "Accuracy of the global model in %. Up and down: MB (a million bytes) that one client"
            " sends and receives in the whole run, mean over clients: adapter, prompt embeddings "
            "and the images to fine-tune on once, models in every round.",
            *table_notes(results.select(used, list(methods)), bold=False),
        ),
    )
