"""How long, and by how much, initial noise is edited: tried on the server's own images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch

from fedgenbench.images.adapters import base_model
from fedgenbench.images.prompts import class_embeddings
from fedgenbench.images.uploads import Upload
from fedgenbench.systems.fedlmg.generation import Generated, generate
from fedgenbench.systems.fedlmg.settings import Editing, GuidedImagesSettings
from fedgenbench.systems.fedlmg.uploads import load
from fedgenbench.systems.job import Context

PART = 256  # images at a time where their losses are asked


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Says both losses of the finished images for each number and each size of editing steps.

    Images of all trials start from the same noise, and every one is guided by the upload that judges it
    afterwards. No image of a client is seen, and no accuracy.
    """
    settings = GuidedImagesSettings.model_validate(context.settings["drawn"])
    editing = Editing.model_validate(context.settings["editing"])
    classes = context.classes
    (models,) = context.inputs["models"]
    uploads = [each.frozen(context.device) for each in load(models, len(classes)).values()]
    pipeline = base_model(settings.base, context.device)
    embeddings = class_embeddings(pipeline, settings.prompt, classes)
    each = settings.per_class * sum(len(upload.classes) for upload in uploads)
    trials = [(1.0, 0), *product(editing.sizes, editing.steps)]
    progress = context.progress(each * len(trials))
    rows = []
    for number, (size, steps) in enumerate(trials):
        changed = {"editing_step": size, "editing_steps": steps}
        generated = generate(
            settings.model_copy(update={"guidance": settings.guidance.model_copy(update=changed)}),
            pipeline,
            uploads,
            embeddings,
            seed=context.seed,
            checkpoint=context.checkpoint.below(f"trial-{number}"),
            tell=progress.after(number * each),
        )
        entropy, distance = final_losses(generated, uploads)
        rows.append(
            {"size": size, "steps": steps, "cross_entropy": entropy, "batch_norm": distance}
        )
    best = min(
        rows,
        key=lambda row: row["cross_entropy"] + settings.guidance.batch_norm * row["batch_norm"],
    )
    return {"trials": rows}, f"lowest loss with {best['steps']} steps of {best['size']:g}"


def final_losses(generated: Generated, uploads: Sequence[Upload]) -> tuple[float, float]:
    """Cross-entropy and batch-norm loss of finished images, each by the upload that guided it; means."""
    entropies, distances = [], []
    for upload in uploads:
        own = generated.style == upload.client
        images = torch.from_numpy(generated.images[own]).permute(0, 3, 1, 2) / 255
        device = next(upload.model.parameters()).device
        labels = torch.from_numpy(generated.labels[own])
        for rows in torch.arange(len(labels)).split(PART):
            with torch.no_grad():
                found = upload.losses(images[rows].to(device), labels[rows].to(device))
            entropies.append(found[0].cpu().numpy())
            distances.append(found[1].cpu().numpy())
    return float(np.concatenate(entropies).mean()), float(np.concatenate(distances).mean())
