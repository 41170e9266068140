"""Tuning of adapters: the right steps, the base untouched, the same bits after a kill."""

import numpy as np
import pytest
import torch
from tiny_clients import (
    CLASSES,
    Killed,
    SmallGpu,
    assert_equal,
    bits,
    prediction,
    private,
    tuned,
    untrained,
)

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import torch_seed
from fedgenbench.images.adapters import attached, embedded
from fedgenbench.images.lora import prepared
from fedgenbench.images.pixels import encoded, to_tensor
from fedgenbench.images.prompts import class_prompts


@pytest.fixture(scope="module")
def pipeline():
    return untrained()


def kept(folder):
    """Tensors and facts of the checkpoint."""
    return Checkpoint(folder / "checkpoint", "one").tensors("adapter")


def moments(folder):
    """The gradient's moving average after one step, a tenth of the clipped gradient."""
    found, _ = kept(folder)
    return {name: tensor for name, tensor in found.items() if name.endswith("exp_avg")}


def norm(tensors):
    return float(sum(tensor.double().square().sum() for tensor in tensors.values()) ** 0.5)


def test_the_base_comes_back_bit_for_bit_and_the_adapter_changes_what_it_draws(pipeline, tmp_path):
    layers, before = dict(pipeline.unet.named_modules()), bits(pipeline.unet)
    plain = prediction(pipeline)
    adapter, history, notes = tuned(pipeline, tmp_path)
    assert dict(pipeline.unet.named_modules()) == layers
    assert_equal(before, bits(pipeline.unet))
    assert all(parameter.requires_grad for parameter in pipeline.unet.parameters())
    assert all(parameter.grad is None for parameter in pipeline.unet.parameters())
    with attached(pipeline, adapter):
        assert (prediction(pipeline) - plain).abs().max() > 1e-3
    assert torch.equal(prediction(pipeline), plain)
    assert dict(pipeline.unet.named_modules()) == layers
    assert [entry["step"] for entry in history] == [2, 4, 5]
    assert notes == []
    assert adapter.classes == (0, 2)
    assert adapter.embeddings.shape == (2, 16, 16)


def test_two_runs_agree_to_the_bit_whatever_else_is_drawn(pipeline, tmp_path):
    one, history, _ = tuned(pipeline, tmp_path / "a")
    with torch.random.fork_rng(devices=[]):
        torch.rand(17)
        state = torch.random.get_rng_state()
        two, again, _ = tuned(pipeline, tmp_path / "b")
        assert torch.equal(torch.random.get_rng_state(), state)
    assert_equal(one.tensors, two.tensors)
    assert history == again
    other, _, _ = tuned(pipeline, tmp_path / "c", client=4)
    assert not all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


@pytest.mark.parametrize("step", [1, 3, 4])
def test_a_killed_tuning_resumes_to_the_same_bits(pipeline, tmp_path, step):
    def tell(done, note):
        if done == step:
            raise Killed

    before = bits(pipeline.unet)
    unbroken, history, _ = tuned(pipeline, tmp_path / "a")
    with pytest.raises(Killed):
        tuned(pipeline, tmp_path / "b", tell=tell)
    assert_equal(before, bits(pipeline.unet))
    told = []
    resumed, again, _ = tuned(pipeline, tmp_path / "b", tell=lambda done, note: told.append(done))
    assert told == list(range((step - 1) // 2 * 2 + 1, 6))
    assert_equal(unbroken.tensors, resumed.tensors)
    assert history == again


def test_the_first_step_is_adams(pipeline, tmp_path):
    lr, decay = 1e-2, 0.5
    adapter, _, _ = tuned(pipeline, tmp_path, steps=1, lr=lr, weight_decay=decay)
    generator = torch.Generator().manual_seed(torch_seed(0, "lora", 3, "weights"))
    names = [name for name in kept(tmp_path)[0] if name.startswith("lora/")]
    for name in (name.removeprefix("lora/") for name in names):
        if ".lora_B." in name:  # from zero, by the rate, along the gradient's sign
            assert adapter.tensors[name].float().abs().max().item() == pytest.approx(lr, rel=1e-2)
    for name, tensor in adapter.tensors.items():
        if ".lora_A." in name:  # B is zero, so A has no gradient and only decays
            start = torch.randn(tensor.shape, generator=generator) / 2
            expected = (start * (1 - lr * decay)).half()
            torch.testing.assert_close(tensor, expected, rtol=1e-3, atol=0)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_loss_is_the_squared_error_of_noise_or_velocity(pipeline, tmp_path, kind):
    scheduler = pipeline.scheduler
    pipeline.scheduler = type(scheduler).from_config(scheduler.config, prediction_type=kind)
    _, history, _ = tuned(pipeline, tmp_path, steps=1)
    pipeline.scheduler = scheduler

    # B is zero, so the first loss is the base's; Stable Diffusion's schedule, by hand.
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    images, labels = private()
    x = encoded(pipeline.vae, to_tensor(images)).numpy() * pipeline.vae.config.scaling_factor
    generator = torch.Generator().manual_seed(torch_seed(0, "lora", 3, 0))
    rows = torch.randperm(len(x), generator=generator)[:4].numpy()
    noise = torch.randn(4, *x.shape[1:], generator=generator).numpy()
    t = torch.randint(1000, (4,), generator=generator)
    share = np.cumprod(1 - betas)[t.numpy()][:, None, None, None]
    noisy = np.sqrt(share) * x[rows] + np.sqrt(1 - share) * noise
    context = embedded(pipeline, class_prompts("a photo of a {label}", CLASSES))[labels[rows]]
    with torch.no_grad():
        found = pipeline.unet(torch.tensor(noisy).float(), t, encoder_hidden_states=context).sample
    velocity = np.sqrt(share) * noise - np.sqrt(1 - share) * x[rows]
    wanted = noise if kind == "epsilon" else velocity
    assert history[0]["loss"] == pytest.approx(((found.numpy() - wanted) ** 2).mean(), rel=1e-4)


def test_the_loss_falls(pipeline, tmp_path):
    _, history, _ = tuned(pipeline, tmp_path, steps=60, save_every=20, count=2)
    assert history[-1]["loss"] < 0.95 * history[0]["loss"]


def test_the_norm_of_the_gradient_is_bounded_over_all_that_is_trained(pipeline, tmp_path):
    tuned(pipeline, tmp_path / "free", steps=1, clip=1e9)
    free = norm(moments(tmp_path / "free")) / 0.1
    tuned(pipeline, tmp_path / "bounded", steps=1, clip=free / 50)
    bounded = norm(moments(tmp_path / "bounded")) / 0.1
    assert free > 0
    assert bounded == pytest.approx(free / 50, rel=1e-4)
    tuned(pipeline, tmp_path / "wide", steps=1, clip=free * 1.01)
    assert norm(moments(tmp_path / "wide")) / 0.1 == pytest.approx(free, rel=1e-6)


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_where_memory_ends_the_gradient_is_gathered_in_parts(pipeline, tmp_path, way, capsys):
    tuned(pipeline, tmp_path / "whole", steps=1, batch_size=5)
    with SmallGpu(pipeline.unet, 2, way) as gpu:
        adapter, _, notes = tuned(pipeline, tmp_path / "parts", steps=1, batch_size=5)
    assert gpu.seen == [5, 2, 2, 1]
    assert notes == ["client 3, tuning: out of GPU memory, 2 images at a time now"]
    assert notes[0] in capsys.readouterr().err
    whole, parts = moments(tmp_path / "whole"), moments(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-3, atol=1e-3 * norm(whole) / 10)
    assert abs(norm(whole) - norm(parts)) < 1e-4 * norm(whole)
    assert adapter.classes == (0, 2)


def test_where_memory_ends_fewer_images_are_encoded_at_a_time(pipeline, tmp_path, monkeypatch):
    whole, _, _ = tuned(pipeline, tmp_path / "whole")
    encode = pipeline.vae.encode

    def small(images):
        if len(images) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return encode(images)

    monkeypatch.setattr(pipeline.vae, "encode", small)
    parts, _, notes = tuned(pipeline, tmp_path / "parts")
    assert notes == ["client 3, encoding: out of GPU memory, 2 images at a time now"]
    for name, tensor in whole.tensors.items():
        torch.testing.assert_close(parts.tensors[name], tensor, rtol=1e-2, atol=1e-4)


def test_a_halved_batch_stays_halved_after_a_kill(pipeline, tmp_path):
    def tell(done, note):
        if done == 3:
            raise Killed

    with SmallGpu(pipeline.unet, 2):
        unbroken, _, _ = tuned(pipeline, tmp_path / "a")
    with SmallGpu(pipeline.unet, 2), pytest.raises(Killed):
        tuned(pipeline, tmp_path / "b", tell=tell)
    with SmallGpu(pipeline.unet, 2) as gpu:
        resumed, _, notes = tuned(pipeline, tmp_path / "b")
    assert max(gpu.seen) == 2
    assert len(notes) == 1
    assert_equal(unbroken.tensors, resumed.tensors)


def test_too_little_memory_for_one_image_names_client_and_way_out(pipeline, tmp_path):
    before = bits(pipeline.unet)
    with (
        SmallGpu(pipeline.unet, 0),
        pytest.raises(UserError, match=r"client 3.*single image.*fp16"),
    ):
        tuned(pipeline, tmp_path)
    assert_equal(before, bits(pipeline.unet))


def test_a_client_with_fewer_images_than_a_batch_takes_them_all(pipeline, tmp_path):
    with SmallGpu(pipeline.unet, 99) as gpu:
        adapter, _, _ = tuned(pipeline, tmp_path, count=1, batch_size=32)
    assert set(gpu.seen) == {1}
    assert adapter.classes == (0,)


def test_a_client_without_images_is_named(pipeline, tmp_path):
    with pytest.raises(UserError, match="client 3 has no training image"):
        tuned(pipeline, tmp_path, count=0)


def test_the_checkpoint_of_other_settings_is_refused(pipeline, tmp_path):
    tuned(pipeline, tmp_path, steps=1)
    Checkpoint(tmp_path / "checkpoint", "another").put("adapter", *kept(tmp_path))
    with pytest.raises(UserError, match=r"belongs to another, not to one: delete"):
        tuned(pipeline, tmp_path)


def test_a_checkpoint_without_a_matrix_is_told(pipeline, tmp_path):
    tuned(pipeline, tmp_path, steps=1)
    tensors, facts = kept(tmp_path)
    lost = sorted(name for name in tensors if name.startswith("lora/"))[3]
    rest = {k: t for k, t in tensors.items() if k != lost}
    Checkpoint(tmp_path / "checkpoint", "one").put("adapter", rest, facts)
    words = rf"checkpoint and the adapter differ in {lost.removeprefix('lora/')}"
    with pytest.raises(UserError, match=words):
        tuned(pipeline, tmp_path)


def test_a_cut_off_checkpoint_begins_anew_and_is_told(pipeline, tmp_path, capsys):
    unbroken, _, _ = tuned(pipeline, tmp_path / "a")
    tuned(pipeline, tmp_path / "b", steps=1)
    path = tmp_path / "b/checkpoint/adapter.safetensors"
    path.write_bytes(path.read_bytes()[:300])
    again, _, _ = tuned(pipeline, tmp_path / "b")
    assert_equal(unbroken.tensors, again.tensors)
    assert "adapter.safetensors is damaged" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_is_told(pipeline, tmp_path):
    broken = torch.full((3, 16, 16), torch.nan)
    with pytest.raises(UserError, match=r"client 3: the loss is not finite after 2 steps"):
        tuned(pipeline, tmp_path, embeddings=broken)
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize("target", ["to_nothing", "norm1", "conv1"])
def test_a_target_that_is_no_linear_layer_is_named(pipeline, tmp_path, target):
    before = bits(pipeline.unet)
    with pytest.raises(UserError, match=rf"lora.targets: '{target}'"):
        tuned(pipeline, tmp_path, targets=["to_q", target])
    assert_equal(before, bits(pipeline.unet))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_half_precision_base_stays_and_what_is_trained_is_single(pipeline, tmp_path, dtype):
    single, reference, _ = tuned(pipeline, tmp_path / "single")
    half = untrained().to(dtype)
    before = bits(half.unet)
    adapter, history, _ = tuned(half, tmp_path / "half")
    assert_equal(before, bits(half.unet))
    assert {tensor.dtype for tensor in before.values()} == {dtype}
    tensors, _ = kept(tmp_path / "half")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert history[-1]["loss"] == pytest.approx(reference[-1]["loss"], rel=0.02)
    one, other = (
        torch.cat([t.float().flatten() for t in a.tensors.values()]) for a in (single, adapter)
    )
    assert torch.cosine_similarity(one, other, dim=0) > 0.98
    moved = [t for name, t in adapter.tensors.items() if ".lora_B." in name]
    assert all(tensor.abs().max() > 0.005 for tensor in moved)


def test_the_scale_of_a_half_precision_loss_is_resumed(tmp_path):
    def tell(done, note):
        if done == 3:
            raise Killed

    half = untrained().to(torch.float16)
    half.unet.conv_out.weight.data *= 30  # so large that the first scales overflow
    unbroken, history, _ = tuned(half, tmp_path / "a", lr=1e-4)
    with pytest.raises(Killed):
        tuned(half, tmp_path / "b", lr=1e-4, tell=tell)
    _, facts = kept(tmp_path / "b")
    assert facts["scaler"]["scale"] < 2**16
    resumed, again, _ = tuned(half, tmp_path / "b", lr=1e-4)
    assert_equal(unbroken.tensors, resumed.tensors)
    assert history == again


def test_images_are_brought_to_the_models_size_and_channels():
    images, _ = private()
    assert prepared(images, 32) is images
    grey = images[..., :1]
    assert np.array_equal(prepared(grey, 32), np.concatenate([grey] * 3, 3))
    flat = np.full((2, 50, 40, 3), (10, 200, 90), np.uint8)
    small = prepared(flat, 32)
    assert small.shape == (2, 32, 32, 3)
    assert small.dtype == np.uint8
    assert prepared(flat[:0], 32).shape == (0, 32, 32, 3)
    assert np.array_equal(small, np.broadcast_to(np.array([10, 200, 90]), (2, 32, 32, 3)))
