"""WarmFed's tables of adapters, synthetic images and warm starts: what they cost and give away."""

from functools import partial

import pandas as pd

from fedgenbench.report.notes import study_notes
from fedgenbench.report.results import Results
from fedgenbench.report.statistics import Interval
from fedgenbench.report.table_specs import Numbers, Shown, TableSpec, beside, count, number, share
from fedgenbench.report.tables import (
    Cell,
    Column,
    Row,
    Table,
    cells_of,
    decimals,
    percent,
    points,
)
from fedgenbench.systems.warmfed.numbers import (
    WARMFED,
    adapters_learnt,
    before_round_1,
    client_names,
    made,
    of_client,
    played,
    tried,
)

# kind -> title of the block; name -> words. docs/privacy.md says how each is measured.
EXAMINED = {
    "duplication": (
        "Copies of training images",
        {
            "copied_any": "adapter's images, of any client",
            "copied_own": "adapter's images, of the client",
            "prompts_copied_any": "FGL's images, of any client",
            "prompts_copied_own": "FGL's images, of the client",
            "held_out_copied_any": "held-out images, of any client",
            "distance_any": "distance of adapter's images, any client",
            "distance_own": "distance of adapter's images, the client",
            "held_out_any": "distance of held-out images, any client",
            "held_out_own": "distance of held-out images, the client",
            "prompts_distance_any": "distance of FGL's images, any client",
            "prompts_distance_own": "distance of FGL's images, the client",
        },
    ),
    "likeness": (
        "Kernel distance to the client's images",
        {
            "own": "adapter's images",
            "others": "images of other domains' adapters",
            "prompts": "FGL's images",
            "held_out": "held-out images (floor)",
            "rank": "rank of the own domain",
        },
    ),
    "style": (
        "Taken for the client's domain",
        {
            "own": "adapter's images",
            "prompts": "FGL's images",
            "held_out": "held-out images (ceiling)",
        },
    ),
    "membership": (
        "Membership attack by the adapter",
        {
            "auc": "area under the ROC curve",
            "auc_standard_error": "its standard error",
            "tpr_at_5_fpr": "found at 5 % false alarms",
            "drop_members": "fall of the loss, members",
            "drop_non_members": "fall of the loss, non-members",
            "members": "members",
            "non_members": "non-members",
            "auc_base": "area, base model (control)",
            "auc_other": "area, another client's adapter (control)",
        },
    ),
}
REAL = "real:"  # prefix of the rows of the matrix of kernel distances
COUNTS = ("rank", "members", "non_members")


def megabytes(interval: Interval) -> Cell:
    """MB with three digits below one, else with two; without an interval where all seeds agree."""
    digits = 3 if interval.mean < 1 else 2
    if interval.half is not None and interval.half < 10**-digits / 2:
        return Cell(f"{interval.mean:.{digits}f}", False, interval)
    return decimals(interval, digits)


ADAPTERS = TableSpec(
    "warmfed_adapters",
    "Adapters, and the images drawn with them",
    (
        count("images", "Images", "Trained on"),
        Shown("adapter", Column("Adapter", "Size", "MB"), megabytes),
        Shown("embedding", Column("Prompts", "Size", "MB"), megabytes),
        number("first_loss", "first", "Loss", digits=3),
        number("last_loss", "last", "Loss", digits=3),
        number("minutes", "Tuning", digits=1, unit="min", measured=True),
        count("drawn", "Images", "Drawn"),
        number("seconds", "an image", "Drawn", digits=3, unit="s", measured=True),
    ),
    (
        "Sizes in MB (a million bytes) as they are sent. Loss: mean of the first and of the "
        "last tenth of the steps.",
    ),
    "Client",
    ("Times on this hardware, which other jobs shared.",),
)
# Images that no adapter drew have none of these.
_OF_ADAPTERS = ("images", "adapter", "embedding", "first_loss", "last_loss", "minutes")


def adapter_table(results: Results) -> Table:
    """Sizes and times of adapters and of the images drawn with them."""
    rows = []
    for experiment in played(results):
        title = results.experiments[experiment]["title"]
        adapters, images = (made(results, experiment, kind) for kind in ("adapter", "images"))
        names = client_names(results, experiment)
        for client in sorted(adapters.index.get_level_values("client").unique()):
            of_adapter = adapters.xs(client, level="client")
            numbers = beside(
                of_adapter,
                adapter=of_adapter["adapter_bytes"] / 1e6,
                embedding=of_adapter["embedding_bytes"] / 1e6,
                minutes=of_adapter["wall_seconds"] / 60,
                **_drawn(of_client(images, client)),
            )
            rows.append(Numbers(f"client-{client}", names[client], numbers, title))
        prompts = of_client(made(results, experiment, "prompts"), -1)
        if not prompts.empty:
            numbers, texts = pd.DataFrame(_drawn(prompts)), dict.fromkeys(_OF_ADAPTERS, "")
            rows.append(Numbers("prompts", "prompts alone (FGL)", numbers, title, texts))
    learnt = (
        f"{results.experiments[e]['title']}: {said[0].lower()}{said[1:]}"
        for e in played(results)
        if (said := adapters_learnt(results, e))
    )
    return ADAPTERS.table(results, rows, [*learnt, *study_notes(results, results.synthesis)])


TRIALS = TableSpec(
    "warmfed_trials",
    "One client's adapters of other ranks, and one that knows its images by heart",
    (
        count("images", "Images", "Tuned"),
        count("bytes", "Size", "Tuned", unit="B"),
        Shown("fall_seen", Column("its images", "Fall of the loss", "%"), points),
        Shown("fall_held_out", Column("held-out images", "Fall of the loss", "%"), points),
        number("auc", "Area", "Membership attack"),
        number("auc_standard_error", "its error", "Membership attack"),
        number("distance", "Distance", "Nearest of the memorised images", digits=3),
        share("copied", "Copies", "Nearest of the memorised images"),
    ),
    (
        "In the first repetition. All ranks are tuned on the same batches, times and noises, the product "
        "scaled by α / rank alike. Fall of the loss: of what the base model's is, on images that the "
        "adapter saw and on the client's test images, equally many of each class, under the same "
        "noises. Area: 0.5 is chance; its error by Hanley and McNeil. Memorised: tuned on those few "
        "images alone, for long, so that the attack is seen to find what is there to find. "
        "Distance: median root mean squared distance of pixels from images that are drawn of the same "
        "noise to the nearest of the memorised ones. Copies: nearer to one than 5 % of the held-out "
        "images are.",
    ),
    "Adapter",
)


def trial_table(results: Results) -> Table:
    """Ranks, and what the attack and the images find at an adapter that knows its images."""
    rows = []
    for experiment in played(results):
        for name, numbers in tried(results, experiment).items():
            texts = {shown.key: "" for shown in TRIALS.columns if shown.key not in numbers}
            label = {"base": "none (the base model)"}.get(name, name.replace("_", " "))
            title = results.experiments[experiment]["title"]
            rows.append(Numbers(name, label, numbers, title, texts))
    return TRIALS.table(results, rows, study_notes(results, results.synthesis))


def _drawn(images: pd.DataFrame) -> dict[str, pd.Series]:
    """How many images were drawn, and the seconds of one, where it is known."""
    columns = {"drawn": "images", "seconds": "seconds_per_image"}
    return {key: images[name] for key, name in columns.items() if name in images}


def warm_start_table(results: Results) -> Table:
    """The model trained on synthetic images alone."""
    labels = {
        "warm_adapters": ("adapters (WarmFed)", WARMFED),
        "warm_prompts": ("prompts alone (FGL)", "fgl"),
    }
    experiments = played(results)
    width = max(len(client_names(results, e)) for e in experiments)
    rows = []
    for experiment in experiments:
        for kind, (label, method) in labels.items():
            training = of_client(made(results, experiment, kind), -1)
            if training.empty:
                continue
            numbers = beside(
                before_round_1(results, experiment, method),
                images=training["images"],
                loss=training["last_loss"],
                minutes=training["wall_seconds"] / 60,
            )
            rows.append(Numbers(kind, label, numbers, results.experiments[experiment]["title"]))
    names = client_names(results, experiments[0])
    heads = names if len(experiments) == 1 else [f"client {c}" for c in range(width)]
    spec = TableSpec(
        "warmfed_warm_start",
        "Warm start: a classifier of synthetic images alone, on real test images",
        (
            share(-1, "Mean", "Accuracy"),
            *(share(client, head, "Accuracy") for client, head in enumerate(heads)),
            count("images", "Images", "Training"),
            number("loss", "last loss", "Training", digits=3),
            number("minutes", "Time", "Training", digits=1, unit="min", measured=True),
        ),
        stub="Images of",
    )
    return spec.table(results, rows, study_notes(results, results.synthesis))


def examined_tables(results: Results) -> list[Table]:
    """A table for each experiment whose images or adapters were examined."""
    frame = results.synthesis
    examined = set(frame.loc[frame["kind"].isin(EXAMINED), "experiment"])
    return [examined_table(results, e) for e in played(results) if e in examined]


def examined_table(results: Results, experiment: str) -> Table:
    """What synthetic images and adapters give away, by client."""
    names = client_names(results, experiment)
    frame = results.synthesis[results.synthesis["experiment"] == experiment]
    classifier = of_client(made(results, experiment, "likeness"), -1)
    rows, notes = [], []
    if "classifier" in classifier:
        reached = percent(results.interval(classifier["classifier"])).text
        notes.append(
            f"Distances compare features of a classifier that is right about {reached} % of all clients' "
            "training images."
        )
    matrix = "Kernel distance of the adapter's images to real images"
    for kind, (title, words) in EXAMINED.items():
        of_kind = frame[(frame["kind"] == kind) & (frame["client"] >= 0)]
        labels = {name: (label, title) for name, label in words.items()}
        real = of_kind.loc[of_kind["name"].str.startswith(REAL), "name"]
        labels |= {name: (f"of {name.removeprefix(REAL)}", matrix) for name in dict.fromkeys(real)}
        for name, (label, group) in labels.items():
            values = of_kind[of_kind["name"] == name]
            if not values.empty:
                cells = _by_client(results, values, len(names), 1 if name in COUNTS else 3)
                rows.append(Row(f"{kind}-{name}", label, cells, group))
    return Table(
        f"warmfed_examined_{experiment}",
        f"{results.experiments[experiment]['title']}: what synthetic images and adapters give away",
        tuple(Column(name, "", "") for name in (*names, "Mean")),
        tuple(rows),
        (
            "Copies: share of images nearer to a training image than 5 % of the client's held-out images "
            "are; the share of held-out images is what to expect where nothing is copied. Distances are "
            "medians. Kernel distance: lower is more alike. Attack: an area of 0.5 is chance. FGL's "
            "images come from prompts alone and saw no private data. docs/privacy.md says how each is "
            "measured. Clients: means over seeds.",
            *notes,
            *study_notes(results, results.synthesis),
        ),
        "Measure",
    )


def _by_client(
    results: Results, values: pd.DataFrame, clients: int, digits: int
) -> tuple[Cell, ...]:
    """A cell for each client, without an interval, and one of their mean."""
    table = values.pivot(index="seed", columns="client", values="value")
    table = table.assign(mean=table.mean(axis=1))

    def alone(interval: Interval) -> Cell:
        return Cell(f"{interval.mean:.{digits}f}", False, interval)

    cells = cells_of(results, table, alone, *range(clients))
    return (*cells, *cells_of(results, table, partial(decimals, digits=digits), "mean"))
