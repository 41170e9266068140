"""Trains the autoencoder of the foundation model, resuming from its checkpoint."""

from pathlib import Path

from fedgenbench.runtime.gpu import lease
from fedgenbench.runtime.job import job
from fedgenbench.runtime.progress import Progress
from fedgenbench.runtime.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch(snakemake.params.checkpoint)
    import torch

    from fedgenbench.data.dataset import load
    from fedgenbench.foundation.pool import public_pool
    from fedgenbench.foundation.settings import VaeJob
    from fedgenbench.foundation.vae import train_vae
    from fedgenbench.runtime.files import write_json

    torch.set_num_threads(1)
    settings = VaeJob.model_validate(snakemake.params.settings)
    pool = public_pool(load(Path(snakemake.input.data).parent), settings.holdout)
    checkpoint = Path(snakemake.params.checkpoint)
    network, history = train_vae(
        settings,
        pool,
        device,
        checkpoint=checkpoint,
        identity=snakemake.wildcards.digest,
        tell=Progress("foundation autoencoder", settings.vae.training.steps),
    )
    network.save_pretrained(snakemake.output.weights)
    write_json(
        snakemake.output.run,
        watch.record(device)
        | {"digest": snakemake.wildcards.digest, "settings": settings.model_dump()}
        | {"history": history, "trained_on": pool.part(held_out=False).record()},
    )
    checkpoint.unlink(missing_ok=True)
    watch.forget()
    print(f"foundation autoencoder: error {history[-1]['validation']:.4f}", flush=True)
