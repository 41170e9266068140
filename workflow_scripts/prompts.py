"""Draws FGL's images: prompts alone, no adapter."""

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
    from fedgenbench.images.adapters import base_model
    from fedgenbench.images.generated import save_images
    from fedgenbench.systems.warmfed.prompts import prompt_only
    from fedgenbench.systems.warmfed.settings import PromptSettings

    torch.set_num_threads(1)
    facts = snakemake.params.settings
    settings = PromptSettings.model_validate(facts["synthesis"])
    classes = read_json(Path(snakemake.input.data).parent / "card.json")["classes"]
    chosen = settings.prompts
    shards = Path(snakemake.params.shards)
    drawn = prompt_only(
        settings,
        base_model(settings.base, device),
        classes,
        seed=facts["seed"],
        folder=shards,
        identity=snakemake.wildcards.digest,
        tell=Progress("images of prompts", len(chosen.templates) * len(classes) * chosen.per_class),
    )
    save_images(
        snakemake.output.images,
        drawn.images,
        drawn.labels,
        drawn.style,
        {"classes": dict(enumerate(classes)), "templates": chosen.templates},
    )
    save_report(
        snakemake.output.report,
        {
            "digest": snakemake.wildcards.digest,
            "settings": facts,
            "images": len(drawn.images),
        }
        | drawn.report,
        watch.record(device),
    )
    shutil.rmtree(shards, ignore_errors=True)
    watch.forget()
    print(f"prompts: {len(drawn.images)} images drawn", flush=True)
