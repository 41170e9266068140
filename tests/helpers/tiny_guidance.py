"""Guidance, uploads and orders for tests."""

import torch

from fedgenbench.images.adapters import embedded
from fedgenbench.images.guidance import Order
from fedgenbench.images.guidance_settings import Guidance
from fedgenbench.images.uploads import Upload
from fedgenbench.models import build

HALF = (0.5, 0.5, 0.5)


def guidance(**changes):
    chosen = {
        "form": "noise",
        "editing_steps": 2,
        "editing_loss": "both",
        "editing_step": 0.2,
        "guide": True,
        "cross_entropy": 1.0,
        "batch_norm": 0.1,
        "strength": 0.2,
        "scheduler": "pipeline",
        "checkpointing": False,
        "skipped_share": 0.0,
    }
    return Guidance.model_validate(chosen | changes)


def upload(client=0, name="bn_cnn", edge=32, channels=3, outputs=4, **fields):
    """A classifier with batch-norm statistics of its own, in eval mode."""
    model = build(name, (channels, edge, edge), 4, client)
    generator = torch.Generator().manual_seed(client)
    for layer in model.modules():
        if hasattr(layer, "running_var"):
            layer.running_mean = torch.randn(layer.running_mean.shape, generator=generator)
            layer.running_var = torch.rand(layer.running_var.shape, generator=generator) + 0.1
    known = {"mean": HALF[:channels], "std": HALF[:channels], "edge": edge, "classes": (0, 1, 2, 3)}
    return Upload(client=client, model=model, outputs=outputs, **known | fields).frozen("cpu")


def orders(pipeline, uploads, count=2):
    embedding = embedded(pipeline, ["a photo of a face"])[0]
    return [
        Order(each.client, number % 4, embedding, 10 * each.client + number, each)
        for each in uploads
        for number in range(count)
    ]
