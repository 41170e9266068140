"""Draws one client's synthetic images with its adapter."""

import shutil
from pathlib import Path

from fedgenbench.core.gpu import lease
from fedgenbench.core.job import job
from fedgenbench.core.progress import Progress
from fedgenbench.core.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch(snakemake.params.shards)
    import torch

    from fedgenbench.core.files import read_json
    from fedgenbench.core.reports import save_report
    from fedgenbench.images.adapters import Adapter, base_model
    from fedgenbench.images.generated import save_images
    from fedgenbench.systems.warmfed.images import synthesise
    from fedgenbench.systems.warmfed.settings import SamplingSettings

    torch.set_num_threads(1)
    facts = snakemake.params.settings
    settings, client = SamplingSettings.model_validate(facts["synthesis"]), facts["client"]
    classes = read_json(Path(snakemake.input.data).parent / "card.json")["classes"]
    adapter = Adapter.load(snakemake.input.adapter)
    shards = Path(snakemake.params.shards)
    drawn = synthesise(
        settings,
        base_model(settings.base, device),
        adapter,
        seed=facts["seed"],
        folder=shards,
        identity=snakemake.wildcards.digest,
        tell=Progress(f"images of client {client}", settings.per_class * len(adapter.classes)),
    )
    names = {label: classes[label] for label in adapter.classes}
    save_images(
        snakemake.output.images, drawn.images, drawn.labels, drawn.style, {"classes": names}
    )
    save_report(
        snakemake.output.report,
        {
            "digest": snakemake.wildcards.digest,
            "settings": facts,
            "client": client,
            "images": len(drawn.images),
        }
        | drawn.report,
        watch.record(device),
    )
    shutil.rmtree(shards, ignore_errors=True)
    watch.forget()
    print(f"client {client}: {len(drawn.images)} images drawn", flush=True)
