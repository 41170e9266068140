"""Trains the first global model on synthetic images alone."""

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
    from fedgenbench.federated.synthetic import read, save_model, warm_start

    torch.set_num_threads(1)
    settings, names = snakemake.params.settings, snakemake.wildcards
    dataset = load(Path(snakemake.input.data).parent)
    synthetic = read(snakemake.input.images, dataset)
    label = f"warm start of {names.experiment}, seed {names.seed}"
    model, losses = warm_start(
        settings,
        synthetic,
        dataset.n_classes,
        device,
        Progress(label, settings["warm_start"]["epochs"]),
    )
    save_model(snakemake.output.model, model)
    save_report(
        snakemake.output.report,
        {"digest": names.digest, "settings": settings, "kind": names.name}
        | {"images": len(synthetic.labels), "losses": losses},
        watch.record(device),
    )
    print(f"{label}: loss {losses[-1]:.3f}", flush=True)
