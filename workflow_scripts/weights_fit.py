"""Learns a generator of weights, once, from saved uploads."""

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
    from fedgenbench.systems.pfedgpa.oneshot import fit, save

    torch.set_num_threads(1)
    settings, names = snakemake.params.settings, snakemake.wildcards
    tensors, fitted, found = fit(
        settings,
        load(Path(snakemake.input.data).parent),
        Partition.load(Path(snakemake.input.partition)),
        Path(snakemake.input.uploads),
        device,
    )
    save(snakemake.output.generator, tensors, fitted)
    save_report(
        snakemake.output.report,
        {"digest": names.digest, "settings": settings} | found,
        watch.record(device),
    )
    label = f"{names.experiment}/{names.fit}/seed{names.seed}"
    print(f"{label}: denoising loss {found['loss']:.3f}", flush=True)
