"""Trains the U-Net and the text encoder, and writes the whole foundation model."""

from pathlib import Path

from fedgenbench.runtime.gpu import lease
from fedgenbench.runtime.job import job
from fedgenbench.runtime.progress import Progress
from fedgenbench.runtime.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch(snakemake.params.checkpoint)
    import torch
    from diffusers import AutoencoderKL

    from fedgenbench.foundation.folder import part_files
    from fedgenbench.foundation.pipeline import assemble, save
    from fedgenbench.foundation.pool import load_pool
    from fedgenbench.foundation.settings import UNetJob
    from fedgenbench.foundation.unet import train_unet
    from fedgenbench.runtime.files import read_json, write_json

    torch.set_num_threads(1)
    settings = UNetJob.model_validate(snakemake.params.settings)
    pool = load_pool(Path(snakemake.input.pool).parent)
    vae = AutoencoderKL.from_pretrained(snakemake.input.vae, local_files_only=True).to(device)
    unet, text_encoder, tokenizer, history = train_unet(
        settings,
        pool,
        vae,
        device,
        checkpoint=Path(snakemake.params.checkpoint),
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
