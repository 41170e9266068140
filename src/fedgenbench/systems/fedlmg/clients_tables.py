"""FedLMG's tables of who sends: more clients, or a client that sends nothing."""

from collections.abc import Sequence

import pandas as pd

from fedgenbench.report.notes import DIFFERENCES
from fedgenbench.report.results import Results
from fedgenbench.report.table_specs import Numbers, TableSpec, lead, share, words
from fedgenbench.report.tables import Table
from fedgenbench.systems.fedlmg.numbers import (
    SERVER,
    SHIFTED,
    WAYS,
    accuracies,
    equally_many,
    experiments_of,
    images_of,
    job_notes,
    setup,
)
from fedgenbench.systems.fedlmg.published import fedlmg_published
from fedgenbench.systems.fedlmg.published_tables import with_averages


def clients_table(results: Results, crowds: Sequence[str]) -> Table:
    """As many images at more clients, beside one client a domain (Table 6)."""
    few = experiments_of(results, "feature skew")
    rows, used = {}, []
    for crowd in crowds:
        dataset, images = results.experiments[crowd]["dataset"], images_of(results, crowd)
        for experiment in (*few, crowd):
            if results.experiments[experiment]["dataset"] != dataset:
                continue
            used.append(experiment)
            table = accuracies(results, experiment)
            if experiment != crowd:
                table = equally_many(results, experiment, crowd)
            clients = len(setup(results, experiment)["names"])
            total = {"images": f"{images['fedlmg_ft']:.0f}"}
            known = table[[way for way in WAYS if way in table]]
            row = Numbers(
                str(clients),
                f"{clients} clients",
                known,
                dataset,
                total,
                experiment,
                SERVER,
            )
            rows[experiment, *total.values()] = row
    spec = TableSpec(
        "fedlmg_clients",
        "Number of clients, mean accuracy over clients",
        [
            words("images", "Images", unit=""),
            *(share(way, label, "Accuracy") for way, label in WAYS.items()),
        ],
        (
            "Domains are dealt out to more clients. Images: those that the server's model is trained on; "
            "a row with one client a domain has the first ones of each client and class, as many as "
            "the rows with more clients. All take equally many steps.",
        ),
        "Clients",
    )
    stated = fedlmg_published().of("number of clients")
    names = {row: [row] for row in ("6", "30", "60", "180")}
    table = spec.table(results, rows.values(), job_notes(results, dict.fromkeys(used)))
    return with_averages(table, [("FT", stated, names)])


def shifted_table(results: Results) -> Table:
    """The server's model on a domain whose client sent nothing: a shift of the test images."""
    rows, used = [], []
    for experiment in experiments_of(results):
        names = dict(enumerate(setup(results, experiment)["names"])) | {-1: "mean"}
        by_client = {client: accuracies(results, experiment, client=client) for client in names}
        if not {*SHIFTED} <= {*by_client[-1]}:
            continue
        used.append(experiment)
        without = by_client[-1]["unseen_sd"]
        for row, label in (
            {"prompts": "prompts alone, of no client"}
            | SHIFTED
            | {"fedlmg_sd": "FedLMG, specific teacher, of all clients"}
        ).items():
            table = pd.DataFrame({client: each[row] for client, each in by_client.items()})
            table["lead"] = by_client[-1][row] - without
            texts = {"lead": ""} if row == "unseen_sd" else {}
            title = results.experiments[experiment]["title"]
            rows.append(Numbers(row, label, table, title, texts, experiment, SERVER))
    heads = setup(results, used[0])["names"]
    spec = TableSpec(
        "fedlmg_unseen",
        "A domain that no upload is of: accuracy on its client's test images",
        [
            *(
                share(client, head, "The client whose upload is left out")
                for client, head in enumerate(heads)
            ),
            share(-1, "Mean"),
            lead("lead", "− FedLMG of the others"),
        ],
        (
            "Accuracy in %, each column on the test images of one client. Of the other clients: neither "
            "its classifier nor an image that this guided is used; images and steps of training are as "
            "many in each row as they are, and the same. Their mean: of the probabilities.",
            DIFFERENCES,
        ),
        "Images of",
    )
    return spec.table(results, rows, job_notes(results, used))
