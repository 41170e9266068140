"""Plays one run of the grid, resuming from its checkpoint if it was killed before."""

from pathlib import Path

from fedgenbench.core.gpu import lease
from fedgenbench.core.job import job
from fedgenbench.core.progress import Progress
from fedgenbench.core.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch(snakemake.params.checkpoint)
    import torch

    from fedgenbench.core.artifacts import read_report
    from fedgenbench.core.files import sha256_file, write_json
    from fedgenbench.data.dataset import load
    from fedgenbench.data.partition import Partition
    from fedgenbench.federated.run import federate
    from fedgenbench.federated.synthetic import read, read_model

    torch.set_num_threads(1)
    settings, names = snakemake.params.settings, snakemake.wildcards
    label = f"{names.experiment}/{names.method}/seed{names.seed}"
    checkpoint = Path(snakemake.params.checkpoint)
    dataset = load(Path(snakemake.input.data).parent)
    images, warm = snakemake.input.images, snakemake.input.warm
    sent = [read_report(path) for path in snakemake.input.adapters]
    bytes_sent = [report["adapter_bytes"] + report["embedding_bytes"] for report in sent]
    metrics = federate(
        settings,
        dataset,
        Partition.load(Path(snakemake.input.partition)),
        device,
        synthetic=read(images, dataset) if images else None,
        warm=read_model(warm[0]) if warm else None,
        adapter_bytes=sum(bytes_sent) / len(bytes_sent) if sent else 0.0,
        digest=names.digest,
        checkpoint=checkpoint,
        progress=Progress(label, settings["rounds"]),
    )
    provenance = watch.record(device)
    write_json(snakemake.output.metrics, metrics)
    write_json(
        snakemake.output.run,
        provenance
        | {key: metrics[key] for key in ("digest", "settings", "bytes_up", "bytes_down")}
        | {"server": metrics["rounds"][-1].get("server", {})}
        | {"metrics_sha256": sha256_file(snakemake.output.metrics)},
    )
    checkpoint.unlink(missing_ok=True)
    watch.forget()
    accuracy = sum(metrics["score"]["personal"]) / len(metrics["score"]["personal"])
    seconds = provenance["wall_seconds"]
    print(f"{label}: {100 * accuracy:.1f} % personalised, {seconds:.0f} s", flush=True)
