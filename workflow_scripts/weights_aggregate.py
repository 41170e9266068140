"""Generates weights from saved uploads in many ways, with one generator, and scores them."""

from pathlib import Path

from fedgenbench.core.gpu import lease
from fedgenbench.core.job import job
from fedgenbench.core.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch()
    import torch

    from fedgenbench.core.reports import save_report
    from fedgenbench.data.dataset import load
    from fedgenbench.data.partition import Partition
    from fedgenbench.systems.pfedgpa.oneshot import aggregate

    torch.set_num_threads(1)
    settings, names = snakemake.params.settings, snakemake.wildcards
    rows = aggregate(
        settings,
        load(Path(snakemake.input.data).parent),
        Partition.load(Path(snakemake.input.partition)),
        Path(snakemake.input.uploads),
        Path(snakemake.input.generator),
        device,
    )
    save_report(
        snakemake.output.rows,
        {"digest": names.digest, "settings": settings, "rows": rows},
        watch.record(device),
    )
    label = f"{names.experiment}/{names.fit}/seed{names.seed}"
    print(f"{label}: {len(rows)} ways of aggregating", flush=True)
