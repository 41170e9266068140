"""Trains the autoencoder of the foundation model, resuming from its checkpoint."""

from pathlib import Path

from fedgenbench.runtime.gpu import lease
from fedgenbench.runtime.job import job
from fedgenbench.runtime.progress import Progress
from fedgenbench.runtime.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch(snakemake.params.checkpoint)
    import torch

    from fedgenbench.foundation.pool import load_pool
    from fedgenbench.foundation.settings import VaeJob
    from fedgenbench.foundation.vae import train_vae
    from fedgenbench.runtime.files import write_json

    torch.set_num_threads(1)
    settings = VaeJob.model_validate(snakemake.params.settings)
    pool = load_pool(Path(snakemake.input.pool).parent)
    network, history = train_vae(
        settings,
        pool,
        device,
        checkpoint=Path(snakemake.params.checkpoint),
        tell=Progress("foundation autoencoder", settings.vae.training.steps),
    )
    network.save_pretrained(snakemake.output.weights)
    write_json(
        snakemake.output.run,
        watch.record(device)
        | {"digest": snakemake.wildcards.digest, "settings": settings.model_dump()}
        | {"history": history, "pool_sha256": pool.sha256},
    )
    print(f"foundation autoencoder: error {history[-1]['validation']:.4f}", flush=True)
