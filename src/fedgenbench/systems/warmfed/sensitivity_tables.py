"""WarmFed's tables of what the paper leaves open: temperature, share of images, what DSD costs."""

import pandas as pd

from fedgenbench.report.notes import DIFFERENCES, table_notes
from fedgenbench.report.results import Results
from fedgenbench.report.table_specs import Numbers, TableSpec, beside, count, lead, number, share
from fedgenbench.report.tables import Table
from fedgenbench.systems.warmfed.numbers import (
    SUBSET,
    TEMPERATURES,
    WARMFED,
    client_names,
    played,
    recorded,
    subset_rows,
)

PLAIN = "warmfed_plain"
TEMPERATURE = TableSpec(
    "warmfed_temperature",
    "DSD: the temperature of its selector over the rounds",
    (
        number("first", "first", "τ, rounds with two teachers"),
        number("last", "last", "τ, rounds with two teachers"),
        share("accuracy", "last round", "Personal accuracy"),
        lead("gain", "− falling", "Personal accuracy"),
        share("share", "mean", "Earlier teacher chosen"),
        share("lowest", "lowest", "Earlier teacher chosen"),
        share("highest", "highest", "Earlier teacher chosen"),
        number("entropy", "Entropy", "Mask", unit="bits"),
    ),
    (
        "Earlier teacher chosen: share of a client's images in a round; lowest and highest of all "
        "clients and rounds. Only τ's name is published; here it falls from 1 by a fifth a round, to "
        "0.5.",
        DIFFERENCES,
    ),
    "Temperature",
)
SHARES = TableSpec(
    "warmfed_subset",
    "Share of the synthetic images that rounds use, chosen on validation images",
    (share("accuracy", "Validation accuracy"), lead("gain", "− at 10 %")),
    (
        "Global model after the last round, on the images that each client set apart. All rows see "
        "equally many synthetic images in a round, the fewer the more often. The images are those of "
        "prompts alone, in WarmFed's rows too: an adapter would have seen validation images.",
        DIFFERENCES,
    ),
    "Method and share",
)
COST = TableSpec(
    "warmfed_dsd_cost",
    "DSD: what a client keeps, and what it takes",
    (
        count("samples", "Images", "A client"),
        number("pool", "Pool", "A client", digits=1, unit="kB"),
        number("with", "with DSD", "Whole run", digits=1, unit="s", measured=True),
        number("without", "no teacher", "Whole run", digits=1, unit="s", measured=True),
        number("added", "an image and round", "Added", digits=2, unit="ms", measured=True),
    ),
    (
        "Pool: logits of the client's training images by its personal models of the last two rounds, "
        "4 bytes a class; it grows with the client's images alone. A kB is a thousand bytes.",
    ),
    "Client",
    ("Times of a run on this hardware, which other jobs shared.",),
)


def temperature_table(results: Results) -> Table:
    """The selector at other temperatures."""
    rows = []
    for experiment in played(results):
        scores = results.by_seed(experiment, "personal")
        for method in TEMPERATURES:
            tau = recorded(results, experiment, method, "tau")
            if tau.empty or method not in scores:
                continue
            chosen = recorded(results, experiment, method, "selection_share").groupby("seed")
            entropy = recorded(results, experiment, method, "mask_entropy").groupby("seed")
            by_seed = tau.mean(axis=1).groupby("seed")
            numbers = beside(
                scores[[method]].rename(columns={method: "accuracy"}),
                first=by_seed.first(),
                last=by_seed.last(),
                share=chosen.mean().mean(axis=1),
                lowest=chosen.min().min(axis=1),
                highest=chosen.max().max(axis=1),
                entropy=entropy.mean().mean(axis=1),
                gain=scores[method] - scores[WARMFED],
            )
            texts = {"gain": ""} if method == WARMFED else {}
            title = results.experiments[experiment]["title"]
            label = "falling" if method == WARMFED else results.label(method)
            rows.append(Numbers(method, label, numbers, title, texts, experiment))
    used = results.select(played(results), list(TEMPERATURES))
    return TEMPERATURE.table(results, rows, table_notes(used, bold=False))


def subset_table(results: Results) -> Table:
    """S_sub's share, for every method that uses synthetic images in its rounds."""
    rows, used = [], subset_rows(results)
    for experiment, names in used.items():
        scores = results.by_seed(experiment, "global")
        for name in names:
            numbers = pd.DataFrame({"accuracy": scores[name]})
            usual = f"{name.split(SUBSET)[0]}{SUBSET}10"
            if usual in scores and name != usual:
                numbers["gain"] = scores[name] - scores[usual]
            texts = {"gain": ""} if name == usual else {}
            title = results.experiments[experiment]["title"]
            rows.append(Numbers(name, results.label(name), numbers, title, texts, experiment))
    methods = [name for names in used.values() for name in names]
    return SHARES.table(results, rows, table_notes(results.select(used, methods), bold=False))


def dsd_cost_table(results: Results) -> Table:
    """The pool of teachers' logits by client, and the time of a run with it and without."""
    rows = []
    for experiment in played(results):
        pool = recorded(results, experiment, WARMFED, "pool_bytes").groupby("seed").max()
        samples = recorded(results, experiment, WARMFED, "samples")
        if pool.empty:
            continue
        title = results.experiments[experiment]["title"]
        unsaid = dict.fromkeys(("with", "without", "added"), "")
        for client, name in enumerate(client_names(results, experiment)):
            each = {"samples": samples.groupby("seed").max()[client], "pool": pool[client] / 1e3}
            rows.append(Numbers(f"client-{client}", name, pd.DataFrame(each), title, unsaid))
        seconds = results.run_seconds(experiment)
        if PLAIN in seconds:
            taught = samples.sum(axis=1).groupby("seed").sum()
            each = {"with": seconds[WARMFED], "without": seconds[PLAIN]}
            each["added"] = 1e3 * (seconds[WARMFED] - seconds[PLAIN]) / taught
            unsaid = dict.fromkeys(("samples", "pool"), "")
            rows.append(Numbers("all", "all clients", pd.DataFrame(each), title, unsaid))
    used = results.select(played(results), [WARMFED, PLAIN])
    return COST.table(results, rows, table_notes(used, bold=False))
