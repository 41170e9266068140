"""Trains the first global model on synthetic images alone."""

from pathlib import Path

from fedgenbench.runtime.gpu import lease
from fedgenbench.runtime.job import job
from fedgenbench.runtime.progress import Progress
from fedgenbench.runtime.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch()
    import torch
    from safetensors.torch import save_file

    from fedgenbench.data.dataset import load
    from fedgenbench.federated.synthetic import read, warm_start
    from fedgenbench.runtime.files import atomic_path, write_json

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
    with atomic_path(snakemake.output.model) as temporary:
        save_file(model, temporary, {"digest": names.digest})
    write_json(
        snakemake.output.report,
        watch.record(device)
        | {"digest": names.digest, "settings": settings, "kind": names.name}
        | {"images": len(synthetic.labels), "losses": losses},
    )
    print(f"{label}: loss {losses[-1]:.3f}", flush=True)
