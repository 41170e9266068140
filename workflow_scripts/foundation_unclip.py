"""Makes the miniature unCLIP of a foundation model, and says what its embeddings carry."""

import shutil
from pathlib import Path

from fedgenbench.core.gpu import lease
from fedgenbench.core.job import job
from fedgenbench.core.progress import Progress
from fedgenbench.core.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch(snakemake.params.checkpoint)
    import torch

    from fedgenbench.core.checkpoint import Checkpoint
    from fedgenbench.core.files import write_json
    from fedgenbench.images.folder import part_files
    from fedgenbench.images.pipeline import load, save
    from fedgenbench.systems.foundation.pool import load_pool
    from fedgenbench.systems.foundation.unclip import (
        assemble,
        evidence,
        train_conditioning,
        train_encoder,
    )
    from fedgenbench.systems.foundation.unclip_settings import UnCLIP

    torch.set_num_threads(1)
    settings = UnCLIP.model_validate(snakemake.params.settings)
    digest = snakemake.wildcards.digest
    pool = load_pool(Path(snakemake.input.pool).parent)
    base = load(settings.source, torch.float32, device)
    kept = Path(snakemake.params.checkpoint)
    towers, encoder_history = train_encoder(
        settings,
        pool,
        base,
        device,
        checkpoint=Checkpoint(kept / "encoder", f"{digest}-encoder"),
        tell=Progress("image encoder", settings.encoder.training.steps),
    )
    denoiser, history = train_conditioning(
        settings,
        pool,
        base,
        towers.vision,
        device,
        checkpoint=Checkpoint(kept / "conditioning", f"{digest}-conditioning"),
        tell=Progress("layers for embeddings", settings.conditioning.training.steps),
    )
    found = evidence(settings, pool, towers, denoiser)
    write_json(snakemake.output.evidence, found | {"digest": digest})
    save(assemble(base, towers.vision, denoiser), snakemake.output.model)
    write_json(
        snakemake.output.run,
        watch.record(device)
        | {"digest": digest, "settings": settings.model_dump()}
        | {"history": history, "encoder_history": encoder_history}
        | {"pool_sha256": pool.sha256}
        | {"foundation": part_files(settings.source)}
        | {"files": part_files(snakemake.output.model)},
    )
    shutil.rmtree(kept, ignore_errors=True)
    watch.forget()
    print(f"miniature unCLIP: loss {history[-1]['validation']:.4f}", flush=True)
