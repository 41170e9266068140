"""Tunes one client's adapter on its training images."""

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
    from fedgenbench.images.adapters import base_model
    from fedgenbench.images.lora import prepared, tune
    from fedgenbench.images.prompts import class_embeddings
    from fedgenbench.systems.warmfed.settings import AdapterSettings

    torch.set_num_threads(1)
    facts = snakemake.params.settings
    settings, client = AdapterSettings.model_validate(facts["synthesis"]), facts["client"]
    dataset = load(Path(snakemake.input.data).parent)
    partition = Partition.load(snakemake.input.partition)
    partition.require(dataset)
    rows = partition.clients[client].train
    pipeline = base_model(settings.base, device)
    checkpoint = Path(snakemake.params.checkpoint)
    adapter, history, notes = tune(
        settings.lora,
        pipeline,
        prepared(dataset.train_images[rows], settings.base.resolution),
        dataset.train_labels[rows],
        class_embeddings(pipeline, settings.prompt, dataset.card["classes"]),
        seed=facts["seed"],
        client=client,
        checkpoint=checkpoint,
        identity=snakemake.wildcards.digest,
        tell=Progress(f"adapter of client {client}", settings.lora.steps),
    )
    adapter.save(snakemake.output.adapter)
    save_report(
        snakemake.output.report,
        {
            "digest": snakemake.wildcards.digest,
            "settings": facts,
            "client": client,
            "classes": adapter.classes,
            "images": len(rows),
            "history": history,
            "parameters": sum(tensor.numel() for tensor in adapter.tensors.values()),
            "adapter_bytes": adapter.adapter_bytes,
            "embedding_bytes": adapter.embedding_bytes,
            "notes": notes,
        },
        watch.record(device),
    )
    checkpoint.unlink(missing_ok=True)
    watch.forget()
    print(f"adapter of client {client}: loss {history[-1]['loss']:.4f}", flush=True)
