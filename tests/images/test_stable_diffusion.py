"""Adapters on models of Stable Diffusion's layout, and their true sizes."""

import numpy as np
import pytest
import torch
from diffusers import (
    UNet2DConditionModel,
)
from tiny_clients import CLASSES, TARGETS, assert_equal, bits, private, quiet, settings
from tiny_stable_diffusion import UNETS, stable_diffusion

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.images.adapters import Adapter, base_model, embedded, low_rank
from fedgenbench.images.lora import prepared, tune
from fedgenbench.images.prompts import class_prompts
from fedgenbench.systems.warmfed.images import synthesise


# WarmFed sheet §3.4: parameters at ranks 4 and 8, and at rank 4 the MB of a file in half precision.
@pytest.mark.parametrize(
    ("version", "rank", "parameters", "megabytes"),
    [
        ("1.5", 4, 797_184, 1.59),
        ("1.5", 8, 1_594_368, 3.19),
        ("2.1", 4, 829_952, 1.66),
        ("2.1", 8, 1_659_904, 3.32),
    ],
)
def test_an_adapter_of_stable_diffusion_has_the_published_size(
    version, rank, parameters, megabytes
):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**UNETS[version])
    with low_rank(unet, rank, float(rank), TARGETS, torch.float16) as tensors:
        adapter = Adapter(
            client=0,
            rank=rank,
            alpha=float(rank),
            targets=tuple(TARGETS),
            classes=tuple(map(str, range(10))),
            tensors={n: torch.empty(t.shape, dtype=t.dtype).zero_() for n, t in tensors.items()},
            embeddings=torch.zeros(10, 77, unet.config.cross_attention_dim).half(),
        )
        assert {tensor.device.type for tensor in tensors.values()} == {"meta"}
    assert sum(tensor.numel() for tensor in adapter.tensors.values()) == parameters
    assert adapter.adapter_bytes == 2 * parameters
    assert adapter.adapter_bytes / 1e6 == pytest.approx(megabytes, abs=0.005)
    # Ten classes, the same section: 1.18 and 1.58 MB.
    assert adapter.embedding_bytes == {"1.5": 1_182_720, "2.1": 1_576_960}[version]


@pytest.mark.parametrize(
    ("version", "kind", "precision"),
    [
        ("1.5", "epsilon", "fp32"),
        ("2.1", "epsilon", "fp32"),
        ("2.1", "v_prediction", "fp32"),
        ("1.5", "epsilon", "bf16"),
    ],
)
def test_a_client_of_stable_diffusion_goes_all_the_way(version, kind, precision, tmp_path):
    stable_diffusion(tmp_path / "sd", version, kind)
    chosen = settings(
        base={"source": str(tmp_path / "sd"), "precision": precision, "resolution": 64},
        lora={"steps": 2},
        sampler={"steps": 3},
    )
    pipeline = base_model(chosen.base, "cpu")
    before = bits(pipeline.unet)
    images, labels = private()
    adapter, history, _ = tune(
        chosen.lora,
        pipeline,
        prepared(images, 64),
        labels,
        embedded(pipeline, class_prompts(chosen.prompt, CLASSES)),
        seed=0,
        client=1,
        checkpoint=Checkpoint(tmp_path / "checkpoint", "one"),
        tell=quiet,
    )
    adapter.save(tmp_path / "adapter.safetensors")
    drawn = synthesise(
        chosen,
        base_model(chosen.base, "cpu"),
        Adapter.load(tmp_path / "adapter.safetensors"),
        seed=0,
        checkpoint=Checkpoint(tmp_path / "shards", "one"),
        tell=quiet,
    )
    assert_equal(before, bits(pipeline.unet))
    assert np.isfinite(history[0]["loss"])
    assert adapter.embeddings.shape == (2, 16, UNETS[version]["cross_attention_dim"])
    assert len(adapter.tensors) == 2 * 8 * 16  # two matrices, two attentions, sixteen blocks
    assert drawn.images.shape == (6, 64, 64, 3)
    assert drawn.labels.tolist() == [0, 0, 0, 2, 2, 2]


def test_a_model_that_predicts_something_else_is_refused(tmp_path):
    stable_diffusion(tmp_path / "sd", "2.1", "sample")
    pipeline = base_model(settings(tmp_path / "sd").base, "cpu")
    with pytest.raises(UserError, match=r"base: the model predicts 'sample'"):
        tune(
            settings().lora,
            pipeline,
            *private(),
            embedded(pipeline, CLASSES),
            seed=0,
            client=1,
            checkpoint=Checkpoint(tmp_path / "checkpoint", "one"),
            tell=quiet,
        )
