"""FedLMG's tables of guidance: parts of it left out, fewer images, how near the images come."""

import pandas as pd

from fedgenbench.report.notes import DIFFERENCES
from fedgenbench.report.results import Results
from fedgenbench.report.table_specs import (
    Numbers,
    TableSpec,
    beside,
    lead,
    number,
    share,
    words,
)
from fedgenbench.report.tables import Table
from fedgenbench.systems.fedlmg.numbers import (
    LABELS,
    SERVER,
    accuracies,
    beside_ablations,
    changed,
    experiments_of,
    job_notes,
    setup,
    similarity,
    sized,
    trials,
)
from fedgenbench.systems.fedlmg.published import Table as Printed
from fedgenbench.systems.fedlmg.published import fedlmg_published
from fedgenbench.systems.fedlmg.published_tables import APART, with_averages
from fedgenbench.systems.fedlmg.settings import VARIED

PARTS = TableSpec(
    "fedlmg_ablations",
    "Parts of the guidance, noise on the uploads, other diffusion models: mean accuracy over clients",
    tuple(
        column
        for way in VARIED
        for column in (
            share(way, "Accuracy", LABELS[way]),
            lead(f"{way} lost", "full − this", LABELS[way]),
        )
    ),
    (
        "Images of all rows start from the same noise, are as many, and are trained on for as many "
        "steps; noise on uploads is in per cent of the deviation of each tensor, our reading.",
        DIFFERENCES,
    ),
    "Images",
)
# Our row -> the paper's, by setting of its table; of two that cannot be told apart both.
LOSSES = {
    "prompts": ["none"],
    "no_batch_norm": ["one loss first", "one loss second"],
    "no_cross_entropy": ["one loss first", "one loss second"],
    "main": ["both"],
}
MODELS = {"main": ["SD-1.5"], "base_sd_2_1": ["SD-2.1"], "base_ldm": ["LDM"]}
EDITING = TableSpec(
    "fedlmg_editing",
    "Editing of the initial noise, tried on the server: losses of the finished images",
    (
        number("cross_entropy", "Cross-entropy", digits=3),
        number("batch_norm", "Batch-norm loss", digits=3),
        number("loss", "Sum with λ", digits=3),
        words("used", "Used"),
    ),
    (
        "Means over images of every client and class from the same noise, each by the classifier that "
        "guided it, in the first repetition; neither the number of steps nor η is published. No image "
        "of a client and no accuracy is asked.",
    ),
    "Editing",
)
SIMILARITY = TableSpec(
    "fedlmg_likeness",
    "How near the images are to those of the client whose classifier guided them",
    (
        number("distance", "Kernel distance", digits=3),
        number("nearest", "Nearest image", digits=4),
        share("copied", "Copies"),
        number("frechet", "Fréchet distance", digits=2),
    ),
    (
        "Means over clients. Kernel distance to the client's training images, in features of the "
        "ceiling; lower is more alike. Nearest image: median root mean squared distance of pixels "
        "to a training image of the client. Copies: share that is nearer to one than 5 % of the "
        "client's held-out images are. Fréchet distance to one half of the client's training images, of "
        "equally many: the other half is the floor (the paper's Table 10 has FID).",
    ),
    "Images",
)


def ablation_table(results: Results) -> Table:
    """L5: a part of the guidance left out, noise on uploads, another model."""
    rows, used, missing = [], [], []
    for experiment in experiments_of(results):
        names = setup(results, experiment)["ablations"]
        if not names:
            continue
        used.append(experiment)
        size = setup(results, experiment)["ablation_per_class"]
        title = f"{results.experiments[experiment]['title']}: {size} per client and class"
        full = beside_ablations(results, experiment)
        nothing = dict.fromkeys((f"{way} lost" for way in VARIED), "")
        ways = full[list(VARIED)]
        rows.append(Numbers("main", "full guidance", ways, title, nothing, experiment, SERVER))
        if "prompts" in full:
            plain = pd.DataFrame({"fedlmg_ft": full["prompts"]})
            lost = {"fedlmg_ft lost": full["fedlmg_ft"] - full["prompts"]}
            both = beside(plain, **lost)
            rows.append(
                Numbers("prompts", "none (prompts alone)", both, title, {}, experiment, SERVER)
            )
        for name in names:
            table = accuracies(results, experiment, name)
            lost = {f"{way} lost": full[way] - table[way] for way in VARIED if way in table}
            label = changed(results, experiment, name)
            both = beside(table, **lost)
            behind = (f"server-{name}", *SERVER)
            rows.append(Numbers(name, label, both, title, {}, experiment, behind))
        for name in setup(results, experiment)["asked"]:
            if name not in names:
                missing.append(f"{name.removeprefix('base_')} ({title.split(':')[0]})")
    notes = [f"Not run here, as the model is not: {', '.join(missing)}."] if missing else []
    table = PARTS.table(results, rows, (*notes, *job_notes(results, used)))
    return with_averages(table, _printed_variations())


def _printed_variations() -> list[tuple[str, list[Printed], dict[str, list[str]]]]:
    """What the paper prints of these rows: a head, its tables, and our row -> the printed ones."""
    published = fedlmg_published()
    noise = {f"noise_{level}": [str(level)] for level in (20, 50, 100)} | {"main": ["0"]}
    return [
        ("losses, FT", published.of("losses"), LOSSES),
        ("noise, FT", published.of("noise on uploads"), noise),
        ("models, SD", published.of("diffusion model"), MODELS),
    ]


def _printed_sizes() -> str:
    """The paper's own curve, in words: its numbers of images are others."""
    (table,) = fedlmg_published().of("images per class and client")
    values = ", ".join(f"{row}: {table.average(row):.2f}" for row in table.rows)
    return f"{APART}, {table.dataset}, FT, by images per client and class: {values} %."


def size_table(results: Results) -> Table:
    """L6: fewer images per client and class."""
    by_size = {
        (experiment, way): table
        for experiment in experiments_of(results)
        for way in (*VARIED, "prompts")
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
            "Accuracy in %. The first images of each client and class, trained on for as many steps as "
            "all of them. Prompts alone: from the same noise, without guidance. "
            f"{_printed_sizes()}",
        ),
    )
    rows = [
        Numbers(
            way,
            LABELS[way],
            table,
            results.experiments[experiment]["title"],
            experiment=experiment,
            jobs=SERVER,
        )
        for (experiment, way), table in by_size.items()
    ]
    used = dict.fromkeys(experiment for experiment, _ in by_size)
    return spec.table(results, rows, job_notes(results, used))


def editing_table(results: Results) -> Table:
    """What was tried before M and η were set."""
    rows, used = [], []
    for experiment in experiments_of(results):
        tried = trials(results, experiment)
        if tried.empty:
            continue
        used.append(experiment)
        chosen = setup(results, experiment)["guidance"]
        seed = results.fedlmg.query("experiment == @experiment and kind == 'editing'")["seed"].min()
        for (size, steps), values in tried.iterrows():
            loss = values["cross_entropy"] + chosen["batch_norm"] * values["batch_norm"]
            here = chosen["editing_steps"] == steps
            here &= not steps or chosen["editing_step"] == float(size)
            rows.append(
                Numbers(
                    f"{size or 'none'}-{steps}",
                    f"M = {steps}, η = {size}" if steps else "none",
                    pd.DataFrame([values.to_dict() | {"loss": loss}], index=[seed]),
                    results.experiments[experiment]["title"],
                    {"used": "yes" if here else ""},
                    experiment,
                    ("editing-trials",),
                )
            )
    return EDITING.table(results, rows, job_notes(results, used))


def similarity_table(results: Results) -> Table:
    """What guidance makes of the images: nearer to the client's, or copies of them."""
    sets = {
        "guided": "guided",
        "prompts": "prompts alone, same noise",
        "held_out": "held-out images (floor)",
        "half": "the other half of its training images",
        "others": "another client's, the nearest",
    }
    rows = []
    for experiment in experiments_of(results):
        table = similarity(results, experiment)
        title = results.experiments[experiment]["title"]
        if table.empty:
            continue
        for name, label in sets.items():
            measures = {
                key: f"{name}_{key}" for key in ("distance", "nearest", "copied", "frechet")
            }
            known = {key: table[column] for key, column in measures.items() if column in table}
            numbers = pd.DataFrame(known)
            rows.append(Numbers(name, label, numbers, title, {}, experiment, SERVER))
    return SIMILARITY.table(results, rows, job_notes(results, experiments_of(results)))
