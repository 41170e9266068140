"""Draws images of every client and class under the guidance of the client's classifier."""

import shutil
from pathlib import Path

from fedgenbench.core.gpu import lease
from fedgenbench.core.job import job
from fedgenbench.core.progress import Progress
from fedgenbench.core.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch(snakemake.params.batches)
    import torch

    from fedgenbench.core.files import read_json
    from fedgenbench.core.reports import save_report
    from fedgenbench.images.adapters import base_model
    from fedgenbench.images.prompts import class_embeddings
    from fedgenbench.systems.fedlmg.generation import generate
    from fedgenbench.systems.fedlmg.settings import GuidedImagesSettings
    from fedgenbench.systems.fedlmg.uploads import load

    torch.set_num_threads(1)
    facts, names = snakemake.params.settings, snakemake.wildcards
    settings = GuidedImagesSettings.model_validate(facts["drawn"])
    classes = read_json(Path(snakemake.input.data).parent / "card.json")["classes"]
    found = load(snakemake.input.models, len(classes)).items()
    uploads = [upload.frozen(device) for name, upload in found if name.startswith("client")]
    pipeline = base_model(settings.base, device)
    batches = Path(snakemake.params.batches)
    label = f"guided images ({names.name}) of {names.experiment}, seed {names.seed}"
    generated = generate(
        settings,
        pipeline,
        uploads,
        class_embeddings(pipeline, settings.prompt, classes),
        seed=facts["seed"],
        folder=batches,
        identity=names.digest,
        tell=Progress(label, settings.per_class * sum(len(each.classes) for each in uploads)),
    )
    generated.save(
        snakemake.output.images,
        snakemake.output.shown,
        {"classes": dict(enumerate(classes)), "row": names.name},
    )
    save_report(
        snakemake.output.report,
        {"digest": names.digest, "settings": facts, "images": len(generated.images)}
        | generated.report,
        watch.record(device),
    )
    shutil.rmtree(batches, ignore_errors=True)
    watch.forget()
    seconds = generated.report["seconds_per_image"]
    print(f"{label}: {len(generated.images)}, {seconds:.2f} s each", flush=True)
