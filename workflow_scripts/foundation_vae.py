"""Trains the autoencoder of the foundation model, resuming from its checkpoint."""

from pathlib import Path

from fedgenbench.core.gpu import lease
from fedgenbench.core.job import job
from fedgenbench.core.progress import Progress
from fedgenbench.core.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch(snakemake.params.checkpoint)
    import torch

    from fedgenbench.core.files import write_json
    from fedgenbench.systems.foundation.pool import load_pool
    from fedgenbench.systems.foundation.settings import VaeJob
    from fedgenbench.systems.foundation.vae import train_vae

    torch.set_num_threads(1)
    settings = VaeJob.model_validate(snakemake.params.settings)
    pool = load_pool(Path(snakemake.input.pool).parent)
    network, history = train_vae(
        settings,
        pool,
        device,
        folder=Path(snakemake.params.checkpoint),
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
