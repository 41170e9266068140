"""Draws the images of a one-shot method that stands beside FedLMG: FGL, FedDISC or FedDEO."""

import shutil
from importlib import import_module
from pathlib import Path

from fedgenbench.core.gpu import lease
from fedgenbench.core.job import job
from fedgenbench.core.progress import Progress
from fedgenbench.core.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch(snakemake.params.batches)
    import torch

    from fedgenbench.core.reports import save_report
    from fedgenbench.data.dataset import load
    from fedgenbench.data.partition import Partition
    from fedgenbench.systems.fedlmg.baseline_settings import DRAWING
    from fedgenbench.systems.fedlmg.settings import GuidedImagesSettings

    torch.set_num_threads(1)
    facts, names = snakemake.params.settings, snakemake.wildcards
    settings = GuidedImagesSettings.model_validate(facts["drawn"])
    dataset = load(Path(snakemake.input.data).parent)
    partition = Partition.load(snakemake.input.partition)
    partition.require(dataset)
    batches = Path(snakemake.params.batches)
    label = f"{names.name} of {names.experiment}, seed {names.seed}"
    held = [len(set(dataset.train_labels[c.train].tolist())) for c in partition.clients]
    generated = import_module(f"fedgenbench.systems.fedlmg.{names.name}").images(
        settings,
        DRAWING[names.name].model_validate(facts["own"]),
        dataset,
        partition,
        device,
        seed=facts["seed"],
        folder=batches,
        identity=names.digest,
        tell=Progress(label, settings.per_class * sum(held)),
    )
    classes = dict(enumerate(dataset.card["classes"]))
    generated.save(
        snakemake.output.images, snakemake.output.shown, {"classes": classes, "row": names.name}
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
