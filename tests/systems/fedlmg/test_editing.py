"""Trials of how noise is edited: which images they judge, and by what."""

import numpy as np
import pytest
import torch
from contexts import context
from miniature import untrained as untrained_pipeline
from toy_clients import small_images

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.images.prompts import class_embeddings
from fedgenbench.images.uploads import Upload
from fedgenbench.models import build
from fedgenbench.systems.fedlmg import editing
from fedgenbench.systems.fedlmg.generation import Generated, generate
from fedgenbench.systems.fedlmg.system import EDITING

CLASSES = ["face", "plant", "sign"]


def upload(client, classes):
    model = build("bn_cnn", (3, 32, 32), 3, client)
    return Upload(client, model, classes, 3, (0.5,) * 3, (0.25,) * 3, 32).frozen("cpu")


def test_losses_are_of_finished_images_by_their_own_upload():
    uploads = [upload(0, (0, 1)), upload(1, (2,))]
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    labels, style = np.array([0, 1, 2, 2, 2]), np.array([0, 0, 1, 1, 1])
    entropy, distance = editing.final_losses(Generated(images, labels, style, {}), uploads)
    expected = []
    for image, label, client in zip(images, labels, style, strict=True):
        x = (torch.from_numpy(image).permute(2, 0, 1)[None] / 255 - 0.5) / 0.25
        logits = uploads[client].model(x)[0][0].double().numpy()
        expected.append(np.log(np.exp(logits).sum()) - logits[label])
    assert entropy == pytest.approx(np.mean(expected), rel=1e-5)
    assert distance > 0


def test_trials_draw_as_main_does_and_the_lowest_sum_is_named(tmp_path, monkeypatch):
    pipeline = untrained_pipeline()
    uploads = {"client0": upload(0, (0, 1)), "client1": upload(1, (2,))}
    monkeypatch.setattr(editing, "base_model", lambda base, device: pipeline)
    monkeypatch.setattr(editing, "load", lambda path, outputs: uploads)
    settings = small_images(per_class=1, editing_steps=0)
    tried = {"steps": [1, 4], "sizes": [0.5], "per_class": 1}
    job = context(
        tmp_path,
        EDITING,
        CLASSES,
        settings={"drawn": settings.model_dump(), "editing": tried},
        inputs={"models": [tmp_path / "classifiers.safetensors"]},
    )
    content, line = editing.run(job)
    rows = content["trials"]
    assert [(row["size"], row["steps"]) for row in rows] == [(1.0, 0), (0.5, 1), (0.5, 4)]
    plain = generate(
        settings,
        pipeline,
        list(uploads.values()),
        class_embeddings(pipeline, settings.prompt, CLASSES),
        seed=0,
        checkpoint=Checkpoint(tmp_path / "other", "one"),
        tell=lambda done, note: None,
    )
    entropy, distance = editing.final_losses(plain, list(uploads.values()))
    assert rows[0] == {"size": 1.0, "steps": 0, "cross_entropy": entropy, "batch_norm": distance}
    sums = {(row["steps"]): row["cross_entropy"] + 0.1 * row["batch_norm"] for row in rows}
    assert line.startswith(f"lowest loss with {min(sums, key=sums.get)} steps")
    assert len(set(sums.values())) == 3
