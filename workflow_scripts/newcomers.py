"""Plays federations without the last clients, which then join the frozen server."""

import sys
from pathlib import Path

from fedgenbench.core.gpu import lease
from fedgenbench.core.job import job
from fedgenbench.core.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch(snakemake.params.checkpoint)
    import torch

    from fedgenbench.core.reports import save_report
    from fedgenbench.data.dataset import load
    from fedgenbench.data.partition import Partition
    from fedgenbench.systems.pfedgpa.newcomers import newcomers

    torch.set_num_threads(1)
    settings, names = snakemake.params.settings, snakemake.wildcards
    label = f"{names.experiment}/newcomers/seed{names.seed}"
    checkpoint = Path(snakemake.params.checkpoint)
    found = newcomers(
        settings,
        load(Path(snakemake.input.data).parent),
        Partition.load(Path(snakemake.input.partition)),
        device,
        digest=names.digest,
        checkpoint=checkpoint,
        progress=lambda note: print(f"{label}  {note}", file=sys.stderr, flush=True),
    )
    save_report(
        snakemake.output.report,
        {"digest": names.digest, "settings": settings} | found,
        watch.record(device),
    )
    for file in checkpoint.parent.glob(f"{checkpoint.name}-*.safetensors"):
        file.unlink()
    watch.forget()
    print(f"{label}: {len(found['clients'])} new clients", flush=True)
