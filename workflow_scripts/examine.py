"""Looks at synthetic images and adapters: copies, likeness, style, membership, pictures."""

from pathlib import Path

from fedgenbench.core.gpu import lease
from fedgenbench.core.job import job
from fedgenbench.core.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch()
    import torch

    from fedgenbench.core.files import atomic_path
    from fedgenbench.core.reports import save_report
    from fedgenbench.data.dataset import load
    from fedgenbench.data.partition import Partition
    from fedgenbench.images.adapters import Adapter, base_model
    from fedgenbench.images.generated import load_images
    from fedgenbench.images.prompts import class_prompts
    from fedgenbench.systems.warmfed.examination import Part, clients_of, examine
    from fedgenbench.systems.warmfed.membership import membership
    from fedgenbench.systems.warmfed.settings import ExaminationSettings

    torch.set_num_threads(1)
    inputs, outputs, seed = snakemake.input, snakemake.output, snakemake.params.settings["seed"]
    settings = ExaminationSettings.model_validate(snakemake.params.settings["synthesis"])
    data = load(Path(inputs.data).parent)
    partition = Partition.load(Path(inputs.partition))
    partition.require(data)
    drawn = [Part(*load_images(path)[:2]) for path in inputs.images]
    images, labels, template = load_images(inputs.prompts)
    clients = clients_of(data, partition, drawn)
    rows, embedding, pictures = examine(
        data,
        clients,
        Part(images, labels),
        template,
        settings.examine.shown,
        seed,
        Path(outputs.grid),
        Path(outputs.duplicates),
    )
    rows += membership(
        clients,
        base_model(settings.base, device),
        [Adapter.load(path) for path in inputs.adapters],
        class_prompts(settings.prompt, data.card["classes"]),
        resolution=settings.base.resolution,
        most=settings.examine.members,
        draws=settings.examine.draws,
        seed=seed,
    )
    with atomic_path(outputs.embedding) as temporary:
        embedding.to_parquet(temporary, index=False)
    save_report(
        outputs.report,
        {
            "digest": snakemake.wildcards.digest,
            "settings": snakemake.params.settings,
            "rows": rows,
            "pictures": pictures,
        },
        watch.record(device),
    )
    areas = [row["value"] for row in rows if (row["kind"], row["name"]) == ("membership", "auc")]
    print(
        f"seed {seed}: mean area of the membership attack {sum(areas) / len(areas):.3f}", flush=True
    )
