"""A look at synthetic images and adapters: copies, similarity, style, membership, pictures."""

from __future__ import annotations

from typing import Any

from fedgenbench.core.files import atomic_path
from fedgenbench.images.adapters import Adapter, base_model
from fedgenbench.images.generated import load_images
from fedgenbench.images.prompts import class_prompts
from fedgenbench.systems.job import Context
from fedgenbench.systems.warmfed.examination import Part, clients_of, examine
from fedgenbench.systems.warmfed.membership import membership
from fedgenbench.systems.warmfed.settings import ExaminationSettings


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Writes an embedding and two pictures; says what was measured, and what the pictures show."""
    settings = ExaminationSettings.model_validate(context.settings["synthesis"])
    data, outputs = context.dataset, context.outputs
    drawn = [Part(*load_images(path)[:2]) for path in context.inputs["images"]]
    images, labels, template = load_images(*context.inputs["prompts"])
    clients = clients_of(data, context.partition, drawn)
    rows, embedding, pictures = examine(
        data,
        clients,
        Part(images, labels),
        template,
        settings.examine.shown,
        context.seed,
        outputs["grid"],
        outputs["duplicates"],
    )
    rows += membership(
        clients,
        base_model(settings.base, context.device),
        [Adapter.load(path) for path in context.inputs["adapters"]],
        class_prompts(settings.prompt, data.card["classes"]),
        resolution=settings.base.resolution,
        most=settings.examine.members,
        draws=settings.examine.draws,
        seed=context.seed,
    )
    with atomic_path(outputs["embedding"]) as temporary:
        embedding.to_parquet(temporary, index=False)
    areas = [row["value"] for row in rows if (row["kind"], row["name"]) == ("membership", "auc")]
    mean = sum(areas) / len(areas)
    return {"rows": rows, "pictures": pictures}, f"mean area of the membership attack {mean:.3f}"
