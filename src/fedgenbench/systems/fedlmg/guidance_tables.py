"""FedLMG's tables of guidance: parts of it left out, fewer images, how near the images come."""

import pandas as pd

from fedgenbench.report.notes import DIFFERENCES
from fedgenbench.report.results import Results
from fedgenbench.report.table_specs import Numbers, TableSpec, beside, lead, number, share
from fedgenbench.report.tables import Table
from fedgenbench.systems.fedlmg.numbers import (
    LABELS,
    WAYS,
    accuracies,
    beside_ablations,
    changed,
    experiments_of,
    job_notes,
    setup,
    similarity,
    sized,
)

PARTS = TableSpec(
    "fedlmg_ablations",
    "Parts of the guidance, mean accuracy over clients",
    tuple(
        column
        for way, label in WAYS.items()
        for column in (share(way, "Accuracy", label), lead(f"{way} lost", "full − this", label))
    ),
    (
        "Images of all rows start from the same noise; full guidance is judged on as many as the "
        "others have. No number of the paper is at hand (papers/fedlmg.md §1.3).",
        DIFFERENCES,
    ),
    "Guidance",
)
SIMILARITY = TableSpec(
    "fedlmg_likeness",
    "How near the images are to those of the client whose classifier guided them",
    (
        number("distance", "Kernel distance", digits=3),
        number("nearest", "Nearest image", digits=4),
        share("copied", "Copies"),
    ),
    (
        "Means over clients. Kernel distance to the client's training images, in features of the "
        "ceiling; lower is more alike. Nearest image: median root mean squared distance of pixels "
        "to a training image of the client. Copies: share that is nearer to one than 5 % of the "
        "client's held-out images are.",
    ),
    "Images",
)


def ablation_table(results: Results) -> Table:
    """L5: a part of the guidance left out or changed, for each way of training."""
    rows, used = [], []
    for experiment in experiments_of(results):
        names = setup(results, experiment)["ablations"]
        if not names:
            continue
        used.append(experiment)
        size = setup(results, experiment)["ablation_per_class"]
        title = f"{results.experiments[experiment]['title']}: {size} per client and class"
        full = beside_ablations(results, experiment)
        nothing = dict.fromkeys((f"{way} lost" for way in WAYS), "")
        rows.append(Numbers("main", "full guidance", full, title, nothing))
        for name in names:
            table = accuracies(results, experiment, name)
            lost = {f"{way} lost": full[way] - table[way] for way in WAYS if way in table}
            label = changed(results, experiment, name)
            rows.append(Numbers(name, label, beside(table, **lost), title))
    return PARTS.table(results, rows, job_notes(results, used))


def size_table(results: Results) -> Table:
    """L6: fewer images per client and class."""
    by_size = {
        (experiment, way): table
        for experiment in experiments_of(results)
        for way in (*WAYS, "prompts")
        if len((table := sized(results, experiment, way)).columns) > 1
    }
    spec = TableSpec(
        "fedlmg_sizes",
        "Images per client and class, mean accuracy over clients",
        [
            share(size, str(size), "Images per client and class")
            for size in sorted({size for table in by_size.values() for size in table})
        ],
        (
            "Accuracy in %. The first images of each client and class; all are trained on for "
            "the same number of epochs, so fewer images are fewer steps too. Prompts alone: from the "
            "same noise, without guidance.",
        ),
    )
    rows = [
        Numbers(way, LABELS[way], table, results.experiments[experiment]["title"])
        for (experiment, way), table in by_size.items()
    ]
    used = dict.fromkeys(experiment for experiment, _ in by_size)
    return spec.table(results, rows, job_notes(results, used))


def similarity_table(results: Results) -> Table:
    """What guidance makes of the images: nearer to the client's, or copies of them."""
    sets = {
        "guided": "guided",
        "prompts": "prompts alone, same noise",
        "held_out": "held-out images (floor)",
    }
    rows = []
    for experiment in experiments_of(results):
        table = similarity(results, experiment)
        title = results.experiments[experiment]["title"]
        if table.empty:
            continue
        for name, label in sets.items():
            measures = {key: f"{name}_{key}" for key in ("distance", "nearest", "copied")}
            known = {key: table[column] for key, column in measures.items() if column in table}
            rows.append(Numbers(name, label, pd.DataFrame(known), title))
    return SIMILARITY.table(results, rows, job_notes(results, experiments_of(results)))
