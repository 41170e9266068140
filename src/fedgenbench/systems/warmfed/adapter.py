"""A client's adapter, tuned on its training images (WarmFed sheet §3.1)."""

from __future__ import annotations

from typing import Any

from fedgenbench.images.adapters import base_model
from fedgenbench.images.lora import prepared, tune
from fedgenbench.images.prompts import class_embeddings
from fedgenbench.systems.job import Context
from fedgenbench.systems.warmfed.settings import AdapterSettings


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Writes the client's upload; says how its loss went and what it weighs."""
    settings = AdapterSettings.model_validate(context.settings["synthesis"])
    client, dataset = context.settings["client"], context.dataset
    rows = context.partition.clients[client].train
    pipeline = base_model(settings.base, context.device)
    adapter, history, notes = tune(
        settings.lora,
        pipeline,
        prepared(dataset.train_images[rows], settings.base.resolution),
        dataset.train_labels[rows],
        class_embeddings(pipeline, settings.prompt, dataset.card["classes"]),
        seed=context.seed,
        client=client,
        checkpoint=context.checkpoint,
        tell=context.progress(settings.lora.steps),
    )
    adapter.save(context.outputs["adapter"])
    content = {
        "client": client,
        "classes": adapter.classes,
        "images": len(rows),
        "history": history,
        "parameters": sum(tensor.numel() for tensor in adapter.tensors.values()),
        "adapter_bytes": adapter.adapter_bytes,
        "embedding_bytes": adapter.embedding_bytes,
        "notes": notes,
    }
    return content, f"loss {history[-1]['loss']:.4f}"
