"""The tables of FedLMG, in the order of the report; what ran, and accuracies in the published layout."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from fedgenbench.core.wording import counted
from fedgenbench.report.results import Results
from fedgenbench.report.statistics import significantly_best
from fedgenbench.report.tables import Cell, Column, Row, Table, cells_of, percent
from fedgenbench.report.words import listed
from fedgenbench.systems.fedlmg.clients_tables import clients_table, shifted_table
from fedgenbench.systems.fedlmg.cost_tables import (
    asked_table,
    compared_baselines,
    cost_table,
    digest_table,
    upload_table,
)
from fedgenbench.systems.fedlmg.guidance_tables import (
    ablation_table,
    editing_table,
    similarity_table,
    size_table,
)
from fedgenbench.systems.fedlmg.numbers import (
    CONTROLS,
    MULTI_ROUND,
    OTHERS,
    WAYS,
    accuracies,
    architectures,
    experiments_of,
    job_notes,
    jobs_behind,
    of_clients,
    setup,
    similarity,
    sized,
    trials,
)
from fedgenbench.systems.fedlmg.published import FedLMGPublished, fedlmg_published
from fedgenbench.systems.fedlmg.published_tables import beside

BLOCKS = {"Controls": CONTROLS, "Without guided images": OTHERS, "FedLMG": WAYS}
CAPTIONS = {
    "feature skew": "a domain per client (feature skew)",
    "label skew": "other classes at every client (label skew)",
    "overlapping labels": "label spaces that overlap in part",
    "different architectures": "by client and architecture",
}
OWN = "own"
FORMS = {"noise": "noise corrected (Eq. 10)", "latent": "latent moved"}


def tables(results: Results) -> list[Table]:
    """All that the jobs at hand can fill, in the order of the report."""
    published = fedlmg_published()
    experiments = experiments_of(results)
    made = [setup_table(results)] if experiments else []
    crowds = experiments_of(results, "number of clients")
    skewed = [experiment for experiment in experiments if experiment not in crowds]
    made += [skew_table(results, experiment, published) for experiment in skewed]
    made += [clients_table(results, crowds)] if crowds else []
    if not experiments:
        return made
    if any(setup(results, experiment)["ablations"] for experiment in experiments):
        made.append(ablation_table(results))
    if not all(trials(results, experiment).empty for experiment in experiments):
        made.append(editing_table(results))
    if any(len(sized(results, experiment, "fedlmg_ft").columns) > 1 for experiment in experiments):
        made.append(size_table(results))
    if any("unseen_sd" in accuracies(results, experiment) for experiment in experiments):
        made.append(shifted_table(results))
    if not all(similarity(results, experiment).empty for experiment in experiments):
        made.append(similarity_table(results))
    made.append(upload_table(results))
    if any(compared_baselines(results, experiment) for experiment in experiments):
        made.append(asked_table(results))
    return [*made, cost_table(results), digest_table(results)]


def setup_table(results: Results) -> Table:
    """What ran: an experiment has no rounds, so it stands in no table of the grid of runs."""
    rows = []
    for experiment in experiments_of(results):
        entry, here = results.experiments[experiment], setup(results, experiment)
        clients, server, guidance = here["trained"], here["server"], here["guidance"]
        trains = {"whole": "", "head": ", its head alone"}[server["trains"]]
        texts = (
            f"{entry['dataset']}, {entry['classes']} classes; {len(here['names'])} clients: "
            f"{entry['partition']}",
            f"{', '.join(architectures(results, experiment))}; {_training(clients)}",
            f"{server['model']}{trains}; {_training(server)}",
            f"{_asked(here['drawn'])}; "
            f"{counted(here['drawn']['steps'], 'step')} "
            f"({guidance['scheduler']}), M = {guidance['editing_steps']}, "
            f"η = {guidance['editing_step']:g}, λ = {guidance['batch_norm']:g}, "
            f"{FORMS[guidance['form']]}, strength {guidance['strength']:g}",
            entry["note"] or "–",
        )
        rows.append(Row(experiment, entry["title"], tuple(map(Cell, texts))))
    heads = ("Data", "Clients' models", "Server's model", "Guided images", "Note")
    return Table(
        "fedlmg_experiments",
        "FedLMG: the experiments",
        tuple(map(Column, heads)),
        tuple(rows),
        stub="Experiment",
    )


def _asked(drawn: Mapping[str, Any]) -> str:
    """How many images are drawn."""
    if drawn["total_per_class"]:
        return f"{counted(drawn['total_per_class'], 'image')} of a class in all"
    return f"{counted(drawn['per_class'], 'image')} per client and class"


def _training(settings: Mapping[str, Any]) -> str:
    return (
        f"{counted(settings['epochs'], 'epoch')}, "
        f"batch {settings['batch_size']}, SGD lr {settings['lr']:g}, "
        f"momentum {settings['momentum']:g}, weight decay {settings['weight_decay']:g}"
    )


def skew_table(results: Results, experiment: str, published: FedLMGPublished) -> Table:
    """Rows in the published layout, a column per client's test images; L1 to L4 by setting."""
    here, entry = setup(results, experiment), results.experiments[experiment]
    mixed = here["setting"] == "different architectures"
    columns = [
        Column(name, model if mixed else "", "%")
        for name, model in zip(here["names"], here["models"], strict=True)
    ]
    columns.append(Column("Avg", "All clients" if mixed else "", "%"))
    places = [*range(len(here["names"])), -1]
    tables = [accuracies(results, experiment, client=client) for client in places]
    best = [_best(results, table) for table in tables]
    rows = _without_server(results, experiment, places)
    for block, labels in BLOCKS.items():
        for row, label in labels.items():
            if row not in tables[-1]:
                continue
            cells = [
                percent(results.interval(table[row]), bold=row in bold)
                for table, bold in zip(tables, best, strict=True)
            ]
            behind = jobs_behind(results, experiment, row)
            rows.append(Row(row, label, tuple(cells), block, experiment, jobs=behind))
    notes = [
        "Top-1 accuracy in %, each column on the test images of one client; Avg: plain mean over "
        "clients.",
        *_ceiling_notes(results, experiment),
    ]
    if here["setting"] in ("label skew", "overlapping labels"):
        notes.append(
            "A client's test images are of its own classes; the server's model knows all of them, the "
            "client's own need tell none but its own apart."
        )
    if mixed:
        notes.append(
            "The upper header is the client's architecture; one without batch norm guides by its "
            "cross-entropy alone. Weights of different ones have no mean, so that FedAvg, FedProx and "
            "FedDyn have no row; FedDF has a model of each. The server's model is "
            f"{here['server']['model']}."
        )
    if trained := [row.label for row in rows if row.id in MULTI_ROUND]:
        notes.append(
            f"{listed(trained)}: the global model after {counted(here['rounds'], 'round')} of one epoch; "
            "FedDF distils on public images. All others are of one shot."
        )
    dataset = results.experiments[experiment]["dataset"]
    columns, rows, more = beside(published, here["setting"], dataset, columns, rows)
    notes += more
    return Table(
        f"fedlmg_{experiment}",
        f"{entry['title']}: {CAPTIONS[here['setting']]}",
        tuple(columns),
        tuple(rows),
        (*notes, *job_notes(results, [experiment], bold=True)),
    )


def _without_server(results: Results, experiment: str, places: Sequence[int]) -> list[Row]:
    """Controls that no server trains: a guess, and each client's own model."""
    own = of_clients(results, experiment, "own_test")
    own[-1] = own.mean(axis=1)
    guess = Row("random_guess", "Random guess", _same(percent(results.guess(experiment)), places))
    cells = tuple(cells_of(results, own, percent, *places))
    alone = Row(OWN, "Client's own model", cells, jobs=("classifiers-all",))
    return [replace(row, group="Controls", experiment=experiment) for row in (guess, alone)]


def _best(results: Results, table: pd.DataFrame) -> set[str]:
    """The row to print bold; the ceiling, which sees all clients' images, takes no part."""
    contenders = [row for row in table if row in OTHERS or row in WAYS]
    return significantly_best(table[contenders], results.confidence)


def _same(cell: Cell, places: Sequence[int]) -> tuple[Cell, ...]:
    return tuple(cell for _ in places)


def _ceiling_notes(results: Results, experiment: str) -> list[str]:
    here = setup(results, experiment)["server"]
    if "ceiling" not in accuracies(results, experiment):
        return []
    trains = {"whole": "whole", "head": "by its head alone"}[here["trains"]]
    return [
        f"Ceiling: the server's model of all clients' images, trained as FedLMG's is ({trains}); with "
        "the head alone for comparison, by which papers/fedlmg.md §8 tells the two apart. Client's own "
        "model: on its own test images alone."
    ]
