"""Synthetic images: of their seeds alone, the same after a kill, none drawn twice."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny_clients import (
    CLASSES,
    Killed,
    SmallGpu,
    assert_equal,
    bits,
    quiet,
    settings,
    tuned,
    untrained,
)

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import torch_seed
from fedgenbench.images.pipeline import sample
from fedgenbench.systems.warmfed.images import synthesise
from fedgenbench.systems.warmfed.prompts import prompt_only


@pytest.fixture(scope="module")
def pipeline():
    return untrained()


@pytest.fixture(scope="module")
def adapter(pipeline, tmp_path_factory):
    return tuned(pipeline, tmp_path_factory.mktemp("adapter"))[0]


def drawn(pipeline, adapter, folder, *, tell=quiet, identity="one", sampler=(), **other):
    chosen = settings(sampler=sampler, **other)
    return synthesise(
        chosen, pipeline, adapter, seed=0, checkpoint=Checkpoint(folder, identity), tell=tell
    )


def prompted(pipeline, folder, *, tell=quiet, sampler=(), **other):
    chosen = settings(sampler=sampler, **other)
    return prompt_only(
        chosen, pipeline, CLASSES, seed=0, checkpoint=Checkpoint(folder, "one"), tell=tell
    )


def apart(one, other):
    return np.abs(one.astype(int) - other).max()


def test_every_class_of_the_client_gets_its_images(pipeline, adapter, tmp_path):
    before = bits(pipeline.unet)
    told = []
    found = drawn(pipeline, adapter, tmp_path, tell=lambda done, note: told.append(done))
    assert_equal(before, bits(pipeline.unet))
    assert found.images.shape == (6, 32, 32, 3)
    assert found.images.dtype == np.uint8
    assert found.labels.tolist() == [0, 0, 0, 2, 2, 2]
    assert found.style.tolist() == [3] * 6
    assert found.labels.dtype == found.style.dtype == np.int64
    assert told == [3, 6]
    assert found.report["shards_drawn"] == 2
    assert found.report["notes"] == []
    assert found.report["seconds_per_image"] > 0
    assert len(np.unique(found.images.reshape(6, -1), axis=0)) == 6


def test_the_adapter_decides_what_is_drawn(pipeline, adapter, tmp_path):
    with_it = drawn(pipeline, adapter, tmp_path / "a").images
    strong = {name: 3 * t for name, t in adapter.tensors.items()}
    stronger = dataclasses.replace(adapter, tensors=strong)
    assert apart(with_it, drawn(pipeline, stronger, tmp_path / "b").images) > 1


@pytest.mark.parametrize("batch", [1, 2])
def test_an_image_depends_on_its_own_names_alone(pipeline, adapter, tmp_path, batch):
    whole = drawn(pipeline, adapter, tmp_path / "a").images
    split = drawn(pipeline, adapter, tmp_path / "b", sampler={"batch": batch}).images
    assert apart(whole, split) <= 1
    fewer = drawn(pipeline, adapter, tmp_path / "c", per_class=2).images
    assert apart(whole[[0, 1, 3, 4]], fewer) <= 1
    one_class = dataclasses.replace(adapter, classes=(2,), embeddings=adapter.embeddings[1:])
    assert apart(whole[3:], drawn(pipeline, one_class, tmp_path / "d").images) <= 1
    other = dataclasses.replace(adapter, client=4)
    assert apart(whole, drawn(pipeline, other, tmp_path / "e").images) > 1


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_prompts_alone_give_the_pipelines_own_images(pipeline, tmp_path, guidance):
    found = prompted(pipeline, tmp_path, sampler={"guidance": guidance})
    expected = [
        sample(
            pipeline,
            [template.format(label=name)] * 2,
            [torch_seed(0, "synthesis", "template", style, label, n) for n in range(2)],
            steps=2,
            guidance=guidance,
            batch=2,
        )
        for style, template in enumerate(("a {label}", "a drawing of a {label}"))
        for label, name in enumerate(("face", "plant", "ice cream"))
    ]
    assert np.array_equal(found.images, np.concatenate(expected))
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2] * 2
    assert found.style.tolist() == [0] * 6 + [1] * 6


def test_equal_templates_give_different_images(pipeline, tmp_path):
    twice = {"templates": ["a {label}", "a {label}"], "per_class": 1}
    found = prompted(pipeline, tmp_path, prompts=twice)
    assert len(np.unique(found.images.reshape(6, -1), axis=0)) == 6


def killing(pipeline, calls):
    """Raises in the U-Net's call of that number."""
    seen = []

    def hook(module, args):
        seen.append(len(args[0]))
        if len(seen) == calls:
            raise Killed

    return seen, pipeline.unet.register_forward_pre_hook(hook)


@pytest.mark.parametrize("kill", [1, 4, 8, 12])
def test_a_killed_job_resumes_to_the_same_bits_and_draws_nothing_twice(pipeline, tmp_path, kill):
    """Six shards of two images in two steps: a shard is done in two calls of the U-Net."""
    unbroken = prompted(pipeline, tmp_path / "a")
    _, hook = killing(pipeline, kill)
    with pytest.raises(Killed):
        prompted(pipeline, tmp_path / "b")
    hook.remove()
    done = (kill - 1) // 2
    assert len(list((tmp_path / "b").glob("*.safetensors"))) == done
    calls, hook = killing(pipeline, None)
    resumed = prompted(pipeline, tmp_path / "b")
    hook.remove()
    assert len(calls) == 2 * (6 - done)
    assert resumed.report["shards_drawn"] == 6 - done
    for part in ("images", "labels", "style"):
        assert np.array_equal(getattr(unbroken, part), getattr(resumed, part))


def test_a_kill_with_an_adapter_leaves_the_base_clean(pipeline, adapter, tmp_path):
    before = bits(pipeline.unet)
    unbroken = drawn(pipeline, adapter, tmp_path / "a")

    def tell(done, note):
        raise Killed

    with pytest.raises(Killed):
        drawn(pipeline, adapter, tmp_path / "b", tell=tell)
    assert_equal(before, bits(pipeline.unet))
    resumed = drawn(pipeline, adapter, tmp_path / "b")
    assert resumed.report["shards_drawn"] == 1
    assert np.array_equal(unbroken.images, resumed.images)


def test_a_shard_of_another_configuration_is_refused_by_name(pipeline, adapter, tmp_path):
    drawn(pipeline, adapter, tmp_path)
    with pytest.raises(UserError, match=r"client-3-class-0.safetensors belongs to one, not to two"):
        drawn(pipeline, adapter, tmp_path, identity="two")


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_shard_is_drawn_anew_and_told(pipeline, adapter, tmp_path, damage, capsys):
    unbroken = drawn(pipeline, adapter, tmp_path)
    path = tmp_path / "client-3-class-2.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes({"cut": content[:-5], "flipped": content, "empty": b""}[damage])
    again = drawn(pipeline, adapter, tmp_path)
    assert np.array_equal(unbroken.images, again.images)
    assert again.report["shards_drawn"] == 1
    assert "client-3-class-2.safetensors is damaged" in capsys.readouterr().err


def test_where_memory_ends_fewer_images_are_drawn_at_a_time(pipeline, adapter, tmp_path):
    whole = drawn(pipeline, adapter, tmp_path / "a", per_class=5, sampler={"batch": 5})
    with SmallGpu(pipeline.unet, 4) as gpu:  # guidance doubles the batch
        parts = drawn(pipeline, adapter, tmp_path / "b", per_class=5, sampler={"batch": 5})
    assert gpu.seen == [10] + [4] * 4 + [2] * 2 + [4] * 4 + [2] * 2
    assert parts.report["notes"] == ["drawing images: out of GPU memory, 2 images at a time now"]
    assert apart(whole.images, parts.images) <= 1
    with SmallGpu(pipeline.unet, 1), pytest.raises(UserError, match=r"single image.*resolution"):
        drawn(pipeline, adapter, tmp_path / "c")


def test_images_that_are_not_finite_are_told(adapter, tmp_path):
    broken = untrained()
    broken.vae.decoder.conv_out.bias.data.fill_(torch.nan)
    with pytest.raises(UserError, match="client-3-class-0: an image is not finite"):
        drawn(broken, adapter, tmp_path)


def test_embeddings_of_another_text_encoder_are_refused(pipeline, adapter, tmp_path):
    other = dataclasses.replace(adapter, embeddings=adapter.embeddings[:, :, :9])
    with pytest.raises(UserError, match=r"client 3.*\[16, 9\], the base model's \[16, 16\]"):
        drawn(pipeline, other, tmp_path)
