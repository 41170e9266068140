"""Trains the server's models of FedLMG on guided images, and the rows that stand beside them."""

from pathlib import Path

from fedgenbench.core.gpu import lease
from fedgenbench.core.job import job
from fedgenbench.core.progress import Progress
from fedgenbench.core.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch()
    import torch

    from fedgenbench.core.reports import save_report
    from fedgenbench.data.dataset import load
    from fedgenbench.data.partition import Partition
    from fedgenbench.federated.synthetic import read
    from fedgenbench.systems.fedlmg.server import planned, serve
    from fedgenbench.systems.fedlmg.uploads import load as load_uploads

    torch.set_num_threads(1)
    settings, names = snakemake.params.settings, snakemake.wildcards
    dataset = load(Path(snakemake.input.data).parent)
    partition = Partition.load(snakemake.input.partition)
    partition.require(dataset)
    prompts, rivals = snakemake.input.prompts, snakemake.params.rivals
    rows = planned(settings["sizes"], bool(prompts), settings["averages"], rivals)
    label = f"server of {names.experiment} ({names.name}), seed {names.seed}"
    rows, near = serve(
        settings,
        dataset,
        partition,
        load_uploads(snakemake.input.models, dataset.n_classes),
        read([snakemake.input.images], dataset),
        read([prompts[0]], dataset) if prompts else None,
        {
            name: read([path], dataset)
            for name, path in zip(rivals, snakemake.input.rivals, strict=True)
        },
        device,
        tell=Progress(label, len(rows)),
    )
    save_report(
        snakemake.output.report,
        {
            "digest": names.digest,
            "settings": settings,
            "name": names.name,
            "rows": rows,
            "likeness": near,
        },
        watch.record(device),
    )
    means = {row: sum(each["accuracy"]) / len(each["accuracy"]) for row, each in rows.items()}
    shown = ", ".join(f"{row} {100 * value:.1f}" for row, value in means.items())
    print(f"{label}: {shown}", flush=True)
