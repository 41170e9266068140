"""Trains the clients' classifiers of FedLMG, and FedProx's beside them."""

import shutil
from pathlib import Path

from fedgenbench.core.gpu import lease
from fedgenbench.core.job import job
from fedgenbench.core.progress import Progress
from fedgenbench.core.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch(snakemake.params.checkpoint)
    import torch

    from fedgenbench.core.reports import save_report
    from fedgenbench.data.dataset import load
    from fedgenbench.data.partition import Partition
    from fedgenbench.systems.fedlmg.clients import train_clients
    from fedgenbench.systems.fedlmg.uploads import save

    torch.set_num_threads(1)
    settings, names = snakemake.params.settings, snakemake.wildcards
    dataset = load(Path(snakemake.input.data).parent)
    partition = Partition.load(snakemake.input.partition)
    partition.require(dataset)
    label = f"classifiers of {names.experiment}, seed {names.seed}"
    folder = Path(snakemake.params.checkpoint)
    models, facts, report = train_clients(
        settings,
        dataset,
        partition,
        device,
        folder=folder,
        identity=names.digest,
        tell=Progress(label, len(partition.clients) * (1 + settings["averages"])),
    )
    sizes = save(snakemake.output.models, models, facts)
    save_report(
        snakemake.output.report,
        {"digest": names.digest, "settings": settings, "bytes": sizes} | report,
        watch.record(device),
    )
    shutil.rmtree(folder, ignore_errors=True)
    watch.forget()
    own = report["own_test"]
    print(f"{label}: {100 * sum(own) / len(own):.1f} % on their own test images", flush=True)
