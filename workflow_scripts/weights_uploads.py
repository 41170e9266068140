"""Plays a federation without generation and keeps what its clients uploaded."""

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
    from fedgenbench.systems.pfedgpa.oneshot import save, uploads

    torch.set_num_threads(1)
    settings, names = snakemake.params.settings, snakemake.wildcards
    label = f"{names.experiment}/uploads/seed{names.seed}"
    checkpoint = Path(snakemake.params.checkpoint)
    tensors, accuracy = uploads(
        settings,
        load(Path(snakemake.input.data).parent),
        Partition.load(Path(snakemake.input.partition)),
        device,
        digest=names.digest,
        checkpoint=checkpoint,
        progress=Progress(label, settings["rounds"]),
    )
    save(snakemake.output.uploads, tensors, {"digest": names.digest})
    save_report(
        snakemake.output.report,
        {"digest": names.digest, "settings": settings, "accuracy": accuracy},
        watch.record(device),
    )
    checkpoint.unlink(missing_ok=True)
    watch.forget()
    mean = sum(accuracy["test"]) / len(accuracy["test"])
    print(f"{label}: {100 * mean:.1f} % before generation", flush=True)
