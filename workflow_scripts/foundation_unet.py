"""Trains the U-Net and the text encoder, and writes the whole foundation model."""

from pathlib import Path

from fedgenbench.core.gpu import lease
from fedgenbench.core.job import job
from fedgenbench.core.progress import Progress
from fedgenbench.core.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch(snakemake.params.checkpoint)
    import torch
    from diffusers import AutoencoderKL

    from fedgenbench.core.files import read_json, write_json
    from fedgenbench.images.folder import part_files
    from fedgenbench.images.pipeline import save
    from fedgenbench.systems.foundation.networks import assemble
    from fedgenbench.systems.foundation.pool import load_pool
    from fedgenbench.systems.foundation.settings import UNetJob
    from fedgenbench.systems.foundation.unet import train_unet

    torch.set_num_threads(1)
    settings = UNetJob.model_validate(snakemake.params.settings)
    pool = load_pool(Path(snakemake.input.pool).parent)
    vae = AutoencoderKL.from_pretrained(snakemake.input.vae, local_files_only=True).to(device)
    unet, text_encoder, tokenizer, history = train_unet(
        settings,
        pool,
        vae,
        device,
        folder=Path(snakemake.params.checkpoint),
        tell=Progress("foundation U-Net", settings.unet.training.steps),
    )
    pipeline = assemble(vae, unet, text_encoder, tokenizer, settings.unet.prediction)
    save(pipeline, snakemake.output.model)
    write_json(
        snakemake.output.run,
        watch.record(device)
        | {"digest": snakemake.wildcards.digest, "settings": settings.model_dump()}
        | {"history": history, "pool_sha256": pool.sha256}
        | {"vae": read_json(snakemake.input.vae_run)}
        | {"files": part_files(snakemake.output.model)},
    )
    print(f"foundation U-Net: loss {history[-1]['validation']:.4f}", flush=True)
