"""The tables of FedLMG: the published layout, other splits and architectures, ablations, and cost."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from fedgenbench.core.wording import counted
from fedgenbench.report.notes import scale_notes
from fedgenbench.report.results import Results, distinct
from fedgenbench.report.statistics import Interval, significantly_best
from fedgenbench.report.tables import Cell, Column, Row, Table, cells_of, decimals, percent, points
from fedgenbench.report.words import difference, spread_note
from fedgenbench.systems.fedlmg.numbers import (
    CONTROLS,
    LABELS,
    OTHERS,
    WAYS,
    accuracies,
    architectures,
    beside_ablations,
    changed,
    experiments_of,
    fact,
    of_clients,
    of_rival,
    setup,
    similarity,
    sized,
    skipped_share,
)
from fedgenbench.systems.fedlmg.published import FedLMGPublished, fedlmg_published

BLOCKS = {"Controls": CONTROLS, "Without guided images": OTHERS, "FedLMG": WAYS}
CAPTIONS = {
    "feature skew": "a domain per client (feature skew)",
    "label skew": "other classes at every client (label skew)",
    "overlapping labels": "label spaces that overlap in part",
    "different architectures": "by client and architecture",
}
OWN = "own"
DIFFERENCES = "Differences are paired within seeds; one counts where its interval leaves out 0."


def tables(results: Results) -> list[Table]:
    """All that the jobs at hand can fill, in the order of the report."""
    published = fedlmg_published()
    experiments = experiments_of(results)
    made = [setup_table(results)] if experiments else []
    made += [skew_table(results, experiment, published) for experiment in experiments]
    beside = {
        _dataset(results, experiment) for experiment in experiments_of(results, "feature skew")
    }
    own = [table.dataset for table in published.tables if table.dataset not in beside]
    made += [published_table(published, dataset) for dataset in own]
    if not experiments:
        return made
    if any(setup(results, experiment)["ablations"] for experiment in experiments):
        made.append(ablation_table(results))
    if any(len(sized(results, experiment, "fedlmg_ft").columns) > 1 for experiment in experiments):
        made.append(size_table(results))
    if not all(similarity(results, experiment).empty for experiment in experiments):
        made.append(similarity_table(results))
    made.append(upload_table(results))
    if any(_rivals(results, experiment) for experiment in experiments):
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
            f"{here['drawn']['per_class']} images per client and class; {here['drawn']['steps']} "
            f"steps ({guidance['scheduler']}), M = {guidance['editing_steps']}, "
            f"λ = {guidance['batch_norm']:g}, step {guidance['step']:g}",
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


def _training(settings: Mapping[str, Any]) -> str:
    return (
        f"{settings['epochs']} epochs, batch {settings['batch_size']}, SGD lr {settings['lr']:g}, "
        f"momentum {settings['momentum']:g}, weight decay {settings['weight_decay']:g}"
    )


# L1 to L4 ---------------------------------------------------------------------------------------
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
    own = of_clients(results, experiment, "own_test")
    own[-1] = own.mean(axis=1)
    rows = [
        Row("random_guess", "Random guess", _same(percent(results.guess(experiment)), places)),
        Row(OWN, "Client's own model", tuple(cells_of(results, own, percent, *places))),
    ]
    rows = [Row(row.id, row.label, row.cells, "Controls") for row in rows]
    for block, labels in BLOCKS.items():
        for row, label in labels.items():
            if row not in tables[-1]:
                continue
            cells = [
                percent(results.interval(table[row]), bold=row in bold)
                for table, bold in zip(tables, best, strict=True)
            ]
            rows.append(Row(row, label, tuple(cells), block))
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
            "cross-entropy alone. Weights of different ones have no mean, so that FedAvg and FedProx "
            f"have no row. The server's model is {here['server']['model']}."
        )
    if here["setting"] == "feature skew":
        columns, rows, more = _beside(results, experiment, published, columns, rows)
        notes += more
    return Table(
        f"fedlmg_{experiment}",
        f"{entry['title']}: {CAPTIONS[here['setting']]}",
        tuple(columns),
        tuple(rows),
        (*notes, *_notes(results, [experiment], bold=True)),
    )


def _beside(
    results: Results,
    experiment: str,
    published: FedLMGPublished,
    columns: Sequence[Column],
    rows: Sequence[Row],
) -> tuple[list[Column], list[Row], list[str]]:
    """The table with the published one of its data set at its right, if there is one."""
    for printed in published.tables:
        if printed.dataset != _dataset(results, experiment):
            continue
        ours = [Column(column.label, "Here", column.unit) for column in columns]
        theirs = [Column(name, "Published", "%") for name in printed.columns]
        joined = [
            Row(row.id, row.label, (*row.cells, *_printed(printed.rows, row.id, theirs)), row.group)
            for row in rows
        ]
        return [*ours, *theirs], joined, [f"Published: {printed.status}, {printed.source}."]
    return list(columns), list(rows), []


def published_table(published: FedLMGPublished, dataset: str) -> Table:
    """A printed table by itself: its data set was not run here."""
    printed = next(table for table in published.tables if table.dataset == dataset)
    columns = tuple(Column(name, "", "%") for name in printed.columns)
    rows = tuple(
        Row(row, f"{label} ({published.methods[row]})", cells, block)
        for block, labels in BLOCKS.items()
        for row, label in labels.items()
        if row in printed.rows and (cells := _printed(printed.rows, row, columns))
    )
    name = "".join(c if c.isalnum() else "_" for c in dataset.lower()).strip("_")
    return Table(
        f"fedlmg_published_{name}",
        f"Published, not run here: {dataset}, {printed.setting}",
        columns,
        rows,
        (
            "Top-1 accuracy in %. In brackets the name that version 1 of the paper prints, which "
            "calls the method FedCADO. No spread is printed.",
            f"Status: {printed.status}. Source: {printed.source}.",
        ),
    )


def _printed(rows: dict[str, list[float]], row: str, columns: Sequence[Column]) -> tuple[Cell, ...]:
    values = rows.get(row)
    if values is None:
        return tuple(Cell() for _ in columns)
    return tuple(Cell(f"{v:.2f}", False, Interval(v, None, None, 0)) for v in values)


# L5 and L6 --------------------------------------------------------------------------------------
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
        for name in ("main", *names):
            table = full if name == "main" else accuracies(results, experiment, name)
            cells = []
            for way in WAYS:
                cells += cells_of(results, table, percent, way)
                found = None
                if name != "main" and way in table:
                    found = difference(results, full[way], table[way])
                cells.append(Cell("") if name == "main" else points(found))
            label = "full guidance" if name == "main" else changed(results, experiment, name)
            rows.append(Row(name, label, tuple(cells), title))
    return Table(
        "fedlmg_ablations",
        "Parts of the guidance, mean accuracy over clients",
        tuple(
            column
            for way in WAYS.values()
            for column in (Column("Accuracy", way, "%"), Column("full − this", way, "points"))
        ),
        tuple(rows),
        (
            "Images of all rows start from the same noise; full guidance is judged on as many as the "
            "others have. No number of the paper is at hand (papers/fedlmg.md §1.3).",
            DIFFERENCES,
            *_notes(results, used),
        ),
        "Guidance",
    )


def size_table(results: Results) -> Table:
    """L6: fewer images per client and class."""
    found = {
        (experiment, way): table
        for experiment in experiments_of(results)
        for way in (*WAYS, "prompts")
        if len((table := sized(results, experiment, way)).columns) > 1
    }
    sizes = sorted({size for table in found.values() for size in table})
    rows = [
        Row(
            way,
            LABELS[way],
            tuple(cells_of(results, table, percent, *sizes)),
            results.experiments[experiment]["title"],
        )
        for (experiment, way), table in found.items()
    ]
    return Table(
        "fedlmg_sizes",
        "Images per client and class, mean accuracy over clients",
        tuple(Column(str(size), "Images per client and class", "%") for size in sizes),
        tuple(rows),
        (
            "Accuracy in %. The first images of each client and class; all are trained on for "
            "the same number of epochs, so fewer images are fewer steps too. Prompts alone: from the "
            "same noise, without guidance.",
            *_notes(results, dict.fromkeys(experiment for experiment, _ in found)),
        ),
    )


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
        for name, label in sets.items():
            cells = (
                *cells_of(results, table, lambda i: decimals(i, 3), f"{name}_distance"),
                *cells_of(results, table, lambda i: decimals(i, 4), f"{name}_nearest"),
                *cells_of(results, table, percent, f"{name}_copied"),
            )
            if not table.empty:
                rows.append(Row(name, label, cells, title))
    return Table(
        "fedlmg_likeness",
        "How near the images are to those of the client whose classifier guided them",
        (
            Column("Kernel distance", unit=""),
            Column("Nearest image", unit=""),
            Column("Copies", unit="%"),
        ),
        tuple(rows),
        (
            "Means over clients. Kernel distance to the client's training images, in features of the "
            "ceiling; lower is more alike. Nearest image: median root mean squared distance of pixels "
            "to a training image of the client. Copies: share that is nearer to one than 5 % of the "
            "client's held-out images are.",
            *_notes(results, experiments_of(results)),
        ),
        "Images",
    )


# L7 ---------------------------------------------------------------------------------------------
def upload_table(results: Results) -> Table:
    """L7: what a client sends and how good it is, by architecture."""
    rows = []
    for experiment in experiments_of(results):
        title = results.experiments[experiment]["title"]
        sizes, images, own = (
            of_clients(results, experiment, quantity)
            for quantity in ("bytes", "images", "own_test")
        )
        for model, clients in architectures(results, experiment).items():
            cells = (
                Cell(", ".join(setup(results, experiment)["names"][client] for client in clients)),
                _of(results, sizes, clients, lambda i: Cell(f"{i.mean / 1e6:.3f}", False, i)),
                _of(results, images, clients, lambda i: Cell(f"{i.mean:,.0f}", False, i)),
                _of(results, own, clients, percent),
            )
            rows.append(Row(model, model, cells, title))
    return Table(
        "fedlmg_uploads",
        "What a client sends: its classifier",
        (
            Column("Clients"),
            Column("Upload", unit="MB"),
            Column("Training images", unit=""),
            Column("Own test", unit="%"),
        ),
        tuple(rows),
        (
            "Upload: weights and batch-norm buffers of one client, in MB (a million bytes); it travels "
            "once and nothing comes back. Own test: accuracy on the client's own test images. "
            "Means over the row's clients.",
            *_notes(results, experiments_of(results)),
        ),
        "Architecture",
    )


def asked_table(results: Results) -> Table:
    """L7: what each one-shot method asks of a client and of the server."""
    rows, used = [], [e for e in experiments_of(results) if _rivals(results, e)]
    for experiment in used:
        title = results.experiments[experiment]["title"]
        classifier = (
            of_clients(results, experiment, "bytes").mean(axis=1) / 1e3,
            fact(results, experiment, "classifiers", "wall_seconds", "")
            / _trained(results, experiment),
        )
        prompts = _drawing(results, experiment, "guided", "prompts")
        asked = {
            "prompts": ("nothing", None, None, prompts),
            "fedavg": ("its classifier", *classifier, None),
            "dense": (
                "its classifier",
                *classifier,
                fact(results, experiment, "dense", "wall_seconds"),
            ),
        }
        for name, words in SENT.items():
            size = of_rival(results, experiment, "upload_bytes", name) / 1e3
            seconds = of_rival(results, experiment, "client_seconds", name)
            asked[name] = (words, size, seconds, _drawing(results, experiment, "rival", name))
        drawing = _drawing(results, experiment, "guided", "main")
        asked["fedlmg_sd"] = ("its classifier", *classifier, drawing)
        played = accuracies(results, experiment).columns
        for row, (words, *costs) in asked.items():
            if row in played:
                label = "FedLMG" if row == "fedlmg_sd" else LABELS[row]
                numbers = (Cell("0") if n is None else _number(results, n) for n in costs)
                rows.append(Row(row, label, (Cell(words), *numbers), title))
    return Table(
        "fedlmg_asked",
        "What each method asks of a client and of the server",
        (
            Column("Sends", "A client", ""),
            Column("Upload", "A client", "kB"),
            Column("Time", "A client", "s", measured=True),
            Column("Images", "Server", "s", measured=True),
        ),
        tuple(rows),
        (
            "One upload per client, mean over clients; a kB is a thousand bytes.",
            *_notes(results, used),
        ),
        measured_notes=(
            "Time: training of a classifier, captions, features, or descriptions. Images: drawing "
            "all of them, for DENSE its whole job. Training on the images, the same for all others, "
            "is left out. Wall-clock of one core or device, which other jobs shared.",
        ),
    )


# What clients of the rivals send that draw images.
SENT = {"fgl": "captions", "feddisc": "centroids of features", "feddeo": "descriptions"}


def _rivals(results: Results, experiment: str) -> set[str]:
    return {"dense", *SENT} & {*accuracies(results, experiment)}


def _drawing(results: Results, experiment: str, kind: str, name: str) -> pd.Series:
    """Seconds of all images, by seed."""
    quantities = ("images", "seconds_per_image")
    count, each = (fact(results, experiment, kind, quantity, name) for quantity in quantities)
    return count * each


def _trained(results: Results, experiment: str) -> int:
    """Classifiers in a job, FedProx's among them."""
    frame = results.fedlmg
    frame = frame[(frame["experiment"] == experiment) & (frame["quantity"] == "bytes")]
    return len(frame.drop_duplicates(["row", "client"]))


def cost_table(results: Results) -> Table:
    """L7: seconds, on clients and the server."""
    rows = []
    for experiment in experiments_of(results):
        models = _trained(results, experiment)
        images = fact(results, experiment, "guided", "images")
        each = fact(results, experiment, "guided", "seconds_per_image")
        alone = fact(results, experiment, "guided", "seconds_per_image", "prompts")
        cells = (
            _number(results, fact(results, experiment, "classifiers", "wall_seconds", "") / models),
            Cell(f"{images.mean():,.0f}", False, results.interval(images)),
            _number(results, each, 3),
            _number(results, alone, 3),
            _number(results, images * each),
            _number(results, fact(results, experiment, "server", "wall_seconds")),
            Cell(f"{100 * skipped_share(results, experiment):.2f}"),
        )
        rows.append(Row(experiment, results.experiments[experiment]["title"], cells))
    return Table(
        "fedlmg_cost",
        "Seconds of a client and of the server",
        (
            Column("a classifier", "Client", "s", measured=True),
            Column("Images", "Guided images", "", measured=True),
            Column("an image", "Guided images", "s", measured=True),
            Column("prompts alone", "Guided images", "s", measured=True),
            Column("all", "Guided images", "s", measured=True),
            Column("its models", "Server", "s", measured=True),
            Column("Gradients left out", "Server", "%", measured=True),
        ),
        tuple(rows),
        (
            "Wall-clock of jobs on one core or device, which other jobs shared. A classifier: the "
            "job's seconds over the classifiers in it, FedProx's among them. Its models: all rows of "
            "the tables, start of the job included. Gradients left out: not finite. No number of the "
            "paper is at hand (papers/fedlmg.md §7).",
            *_notes(results, experiments_of(results)),
        ),
        "Experiment",
    )


def digest_table(results: Results) -> Table:
    """Where the numbers come from: digests of code and settings."""
    experiments = experiments_of(results)
    digests = {experiment: setup(results, experiment)["digests"] for experiment in experiments}
    jobs = dict.fromkeys(job for each in digests.values() for job in each)
    return Table(
        "fedlmg_digests",
        "FedLMG: digests of code and settings, by seed",
        tuple(Column(results.experiments[experiment]["title"]) for experiment in experiments),
        tuple(
            Row(
                job.replace(" ", "-"),
                job,
                tuple(
                    Cell(" ".join(digests[e][job])) if job in digests[e] else Cell()
                    for e in experiments
                ),
            )
            for job in jobs
        ),
        stub="Job",
    )


# Parts ------------------------------------------------------------------------------------------
def _best(results: Results, table: pd.DataFrame) -> set[str]:
    """The row to print bold; the ceiling, which sees all clients' images, takes no part."""
    contenders = [row for row in table if row in OTHERS or row in WAYS]
    return significantly_best(table[contenders], results.confidence)


def _same(cell: Cell, places: Sequence[int]) -> tuple[Cell, ...]:
    return tuple(cell for _ in places)


def _of(
    results: Results,
    table: pd.DataFrame,
    clients: Sequence[int],
    show: Callable[[Interval], Cell],
) -> Cell:
    """The mean over some clients."""
    return show(results.interval(table[clients].mean(axis=1)))


def _number(results: Results, by_seed: pd.Series, digits: int = 1) -> Cell:
    return decimals(results.interval(by_seed), digits) if len(by_seed) else Cell()


def _dataset(results: Results, experiment: str) -> str:
    """The name under which the paper's tables have the data set."""
    return results.experiments[experiment]["dataset"].split(",")[0]


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


def _notes(results: Results, experiments: Iterable[str], bold: bool = False) -> tuple[str, ...]:
    """How the numbers came about; FedLMG has no runs, whose notes other tables have."""
    experiments = list(experiments)
    frame = results.fedlmg[results.fedlmg["experiment"].isin(experiments)]
    setups = [setup(results, experiment) for experiment in experiments]
    hardware = sorted({name for each in setups for name in each["hardware"]})
    notes = [
        spread_note(results, [frame["seed"].nunique()], bold),
        f"Scale: {', '.join(distinct(results.runs, 'scale'))}. Hardware: {', '.join(hardware)}.",
        *scale_notes(results.runs),
    ]
    if dirty := sum(each["dirty"] for each in setups):
        jobs = counted(dirty, "job")
        notes.append(f"Warning: {jobs} made in a working tree with uncommitted changes.")
    return tuple(notes)
