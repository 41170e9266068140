"""FedLMG's tables of what is asked of clients and server, and where its numbers come from."""

import pandas as pd

from fedgenbench.report.results import Results
from fedgenbench.report.table_specs import (
    Numbers,
    Shown,
    TableSpec,
    count,
    number,
    share,
    words,
)
from fedgenbench.report.tables import Cell, Column, Row, Table
from fedgenbench.systems.fedlmg.numbers import (
    LABELS,
    MULTI_ROUND,
    accuracies,
    architectures,
    experiments_of,
    fact,
    job_notes,
    of_baseline,
    of_clients,
    setup,
    skipped_share,
)
from fedgenbench.systems.fedlmg.published import fedlmg_published
from fedgenbench.systems.fedlmg.published_tables import APART

UPLOADS = TableSpec(
    "fedlmg_uploads",
    "What a client sends: its classifier",
    (
        words("clients", "Clients"),
        Shown(
            "bytes", Column("Upload", unit="MB"), lambda i: Cell(f"{i.mean / 1e6:.3f}", False, i)
        ),
        count("images", "Training images"),
        share("own_test", "Own test"),
    ),
    (
        "Upload: weights and batch-norm buffers of one client, in MB (a million bytes); it travels "
        "once and nothing comes back. Own test: accuracy on the client's own test images. "
        "Means over the row's clients.",
    ),
    "Architecture",
)


def _printed_costs() -> str:
    """The paper's own, in words: its rows have other models and encoders."""
    stated = fedlmg_published()
    names = {str(row): name for row, name in stated.methods.items()}
    (traffic,), (work,) = stated.of("communication"), stated.of("client computation")
    words = [
        f"{names.get(row, 'FedLMG')} {traffic.average(row):.2f} and {work.average(row):.2f}"
        for row in work.rows
    ]
    return f"{APART}, million parameters up and down, and GFLOPs: {', '.join(words)}."


ASKED = TableSpec(
    "fedlmg_asked",
    "What each method asks of a client and of the server",
    (
        words("sends", "Sends", "A client", unit=""),
        number("upload", "Upload", "A client", digits=1, unit="kB"),
        number("traffic", "Up and down", "A client", digits=3, unit="million numbers"),
        number("flops", "An image", "A client", digits=3, unit="GFLOPs"),
        number("time", "Time", "A client", digits=1, unit="s", measured=True),
        number("images", "Images", "Server", digits=1, unit="s", measured=True),
    ),
    (
        "Mean over clients, all rounds together; a kB is a thousand bytes. Up and down: what a client "
        "sends, in numbers of four bytes, and the weights that it has to be given. An image: forward "
        "passes of one training image, in each round one, counted by torch; a step of training is about "
        "three.",
    ),
    measured_notes=(
        "Time: training of a classifier, captions, features, or descriptions. Images: drawing "
        "all of them, for DENSE its whole job. Training on the images, the same for all others, "
        "is left out. Wall-clock of one core or device, which other jobs shared.",
    ),
)
COST = TableSpec(
    "fedlmg_cost",
    "Seconds of a client and of the server",
    (
        number("classifier", "a classifier", "Client", digits=1, unit="s", measured=True),
        count("images", "Images", "Guided images", measured=True),
        number("image", "an image", "Guided images", digits=3, unit="s", measured=True),
        number("alone", "prompts alone", "Guided images", digits=3, unit="s", measured=True),
        number("all", "all", "Guided images", digits=1, unit="s", measured=True),
        number("models", "its models", "Server", digits=1, unit="s", measured=True),
        Shown("skipped", Column("Gradients left out", "Server", "%", measured=True)),
    ),
    (
        "Wall-clock of jobs on one core or device, which other jobs shared. A classifier: the "
        "job's seconds over the classifiers in it. Its models: all rows of the tables, start of the "
        "job included. Gradients left out: not finite.",
    ),
    "Experiment",
)
NOTHING = {"upload", "traffic", "flops", "time", "images"}  # where a one-shot method asks none
# What clients of the one-shot baselines send that draw images.
SENT = {"fgl": "captions", "feddisc": "centroids of features", "feddeo": "descriptions"}


def upload_table(results: Results) -> Table:
    """L7: what a client sends and how good it is, by architecture."""
    rows = []
    for experiment in experiments_of(results):
        title = results.experiments[experiment]["title"]
        names = setup(results, experiment)["names"]
        of_all = {q: of_clients(results, experiment, q) for q in ("bytes", "images", "own_test")}
        for model, clients in architectures(results, experiment).items():
            means = {key: table[clients].mean(axis=1) for key, table in of_all.items()}
            texts = {"clients": ", ".join(names[client] for client in clients)}
            numbers = pd.DataFrame(means)
            behind = ("classifiers-all",)
            rows.append(Numbers(model, model, numbers, title, texts, experiment, behind))
    return UPLOADS.table(results, rows, job_notes(results, experiments_of(results)))


def asked_table(results: Results) -> Table:
    """L7: what each one-shot method asks of a client and of the server."""
    rows, used = [], [e for e in experiments_of(results) if compared_baselines(results, e)]
    for experiment in used:
        title = results.experiments[experiment]["title"]
        seconds = fact(results, experiment, "classifiers", "wall_seconds", "")
        upload = of_clients(results, experiment, "bytes").mean(axis=1) / 1e3
        weights = of_clients(results, experiment, "parameters").mean(axis=1) / 1e6
        work = of_clients(results, experiment, "flops").mean(axis=1) / 1e9
        classifier = {
            "upload": upload,
            "traffic": weights,
            "flops": work,
            "time": seconds / _trained(results, experiment),
        }
        dense = fact(results, experiment, "dense", "wall_seconds")
        # What a client sends, and what that costs; what lacks costs nothing.
        asked = {
            "prompts": ("nothing", {"images": _drawing(results, experiment, "guided", "prompts")}),
            "dense": ("its classifier", classifier | {"images": dense}),
        }
        rounds = setup(results, experiment).get("rounds", 0)
        for name in MULTI_ROUND:
            # The first model is everybody's; each later round begins with a download.
            many = {"upload": rounds * upload, "flops": rounds * work}
            asked[name] = (
                f"its classifier, {rounds} times",
                many | {"traffic": (2 * rounds - 1) * weights},
            )
        for name, sent in SENT.items():
            sends = of_baseline(results, experiment, "upload_bytes", name)
            given = of_baseline(results, experiment, "download_parameters", name)
            costs = {
                "upload": sends / 1e3,
                "traffic": (sends / 4 + given) / 1e6,
                "time": of_baseline(results, experiment, "client_seconds", name),
                "flops": of_baseline(results, experiment, "client_flops", name) / 1e9,
                "images": _drawing(results, experiment, "rival", name),
            }
            asked[name] = (sent, costs)
        drawing = _drawing(results, experiment, "guided", "main")
        asked["fedlmg_sd"] = ("its classifier", classifier | {"images": drawing})
        played = accuracies(results, experiment).columns
        for row, (sent, costs) in asked.items():
            if row in played:
                label = "FedLMG" if row == "fedlmg_sd" else LABELS[row]
                texts = {"sends": sent}
                if row not in MULTI_ROUND:
                    texts |= dict.fromkeys(NOTHING - {*costs}, "0")
                behind = tuple(f"{kind}-{name}" for kind, name in _asking(row))
                numbers = pd.DataFrame(costs)
                rows.append(Numbers(row, label, numbers, title, texts, experiment, behind))
    return ASKED.table(results, rows, (_printed_costs(), *job_notes(results, used)))


def _asking(row: str) -> list[tuple[str, str]]:
    """Kind and name of the jobs that say what a method asks."""
    if row == "prompts":
        return [("guided", row)]
    if row in SENT:
        return [("rival", row)]
    classifiers = ("classifiers", "all")
    if row in MULTI_ROUND:
        return [classifiers, ("rounds", "all")]
    return [classifiers, ("dense", "main") if row == "dense" else ("guided", "main")]


def compared_baselines(results: Results, experiment: str) -> set[str]:
    """The one-shot baselines that train or draw something of their own."""
    return {"dense", *SENT} & {*accuracies(results, experiment)}


def _drawing(results: Results, experiment: str, kind: str, name: str) -> pd.Series:
    """Seconds of all images, by seed."""
    quantities = ("images", "seconds_per_image")
    count, each = (fact(results, experiment, kind, quantity, name) for quantity in quantities)
    return count * each


def _trained(results: Results, experiment: str) -> int:
    """Classifiers in a job."""
    frame = results.fedlmg
    frame = frame[(frame["experiment"] == experiment) & (frame["quantity"] == "bytes")]
    return len(frame.drop_duplicates(["row", "client"]))


def cost_table(results: Results) -> Table:
    """L7: seconds, on clients and the server."""
    rows = []
    for experiment in experiments_of(results):
        seconds = fact(results, experiment, "classifiers", "wall_seconds", "")
        images = fact(results, experiment, "guided", "images")
        each = fact(results, experiment, "guided", "seconds_per_image")
        numbers = {
            "classifier": seconds / _trained(results, experiment),
            "images": images,
            "image": each,
            "alone": fact(results, experiment, "guided", "seconds_per_image", "prompts"),
            "all": images * each,
            "models": fact(results, experiment, "server", "wall_seconds"),
        }
        skipped = {"skipped": f"{100 * skipped_share(results, experiment):.2f}"}
        title = results.experiments[experiment]["title"]
        behind = ("classifiers-all", "guided-main", "guided-prompts", "server-main")
        rows.append(
            Numbers(
                experiment,
                title,
                pd.DataFrame(numbers),
                texts=skipped,
                experiment=experiment,
                jobs=behind,
            )
        )
    return COST.table(results, rows, job_notes(results, experiments_of(results)))


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
