"""Guidance: each loss against NumPy, its effect, and its limiting cases."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from tiny_clients import assert_equal, bits, untrained
from tiny_guidance import HALF, guidance, orders, upload
from tiny_stable_diffusion import stable_diffusion
from torch import nn

from fedgenbench.core.errors import UserError
from fedgenbench.images import guidance as guidance_module
from fedgenbench.images.adapters import base_model, embedded
from fedgenbench.images.guidance import Guided, Order
from fedgenbench.images.schedules import step as scheduled
from fedgenbench.images.settings import Base
from fedgenbench.images.uploads import Upload, batch_norm_inputs, batch_norm_loss
from fedgenbench.models import build

PLAIN = {"editing_steps": 0, "guide": False}
# Steps that move the images of an untrained U-Net; Eq. 10 magnifies its own at the first times.
STRONG = {"noise": 20.0, "latent": 100.0}


@pytest.fixture(scope="module")
def pipeline():
    return untrained()


def drawn(pipeline, uploads, steps=3, scale=3.0, count=2, **changes):
    return Guided(pipeline, guidance(**changes), steps, scale).draw(
        orders(pipeline, uploads, count), 32
    )


# --- the losses


def test_the_batch_norm_loss_equals_numpy():
    own = upload()
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with batch_norm_inputs(own.model) as seen:
        own.model(x)
    assert len(seen) == 3
    expected = np.zeros(3)
    for layer, inputs in seen:
        values = inputs.numpy().astype(np.float64)
        mean, var = values.mean((2, 3)), values.var((2, 3))
        for stored, found in ((layer.running_mean, mean), (layer.running_var, var)):
            expected += np.sqrt(((found - stored.numpy()) ** 2).sum(1))
    np.testing.assert_allclose(batch_norm_loss(seen, x), expected, rtol=1e-4)
    # What the layer gives is not what it gets: the inputs count.
    _, inputs = seen[0]
    np.testing.assert_array_equal(inputs, own.model.convs[0](x))
    assert not any(module._forward_pre_hooks for module in own.model.modules())


@budget(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5))
def test_a_batch_changes_no_image_s_loss(seed, count):
    own = upload()
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, 32, 32, generator=generator)
    labels = torch.randint(4, (count,), generator=generator)
    together = own.losses(images, labels)
    alone = [own.losses(images[row : row + 1], labels[row : row + 1]) for row in range(count)]
    for loss, each in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(loss, torch.cat(each), rtol=2e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_cross_entropy_equals_numpy(channels):
    own = upload(channels=channels, edge=28)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    x = torch.nn.functional.interpolate(images, (28, 28), mode="bicubic").numpy()
    if channels == 1:
        x = (x * np.array([0.299, 0.587, 0.114], np.float32)[:, None, None]).sum(1, keepdims=True)
    logits = own.model(torch.from_numpy((x - 0.5) / 0.5))[0].double().numpy()
    labels = np.array([3, 1])
    expected = np.log(np.exp(logits).sum(1)) - logits[[0, 1], labels]
    found, _ = own.losses(images, torch.from_numpy(labels))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_network_without_batch_norm_has_the_cross_entropy_alone():
    own = upload(name="mini_vgg")
    entropy, batch_norm = own.losses(torch.rand(2, 3, 32, 32), torch.tensor([0, 1]))
    assert (batch_norm == 0).all()
    assert (entropy > 0).all()


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_clean_image_is_the_one_that_was_noised(pipeline, kind):
    """With the true noise, or the true velocity, the promise is the image itself."""
    guided = Guided(pipeline, guidance(), 3, 1.0)
    guided.kind, channels = kind, pipeline.vae.config.latent_channels
    generator = torch.Generator().manual_seed(0)
    latent, noise = (torch.randn(2, channels, 8, 8, generator=generator) for _ in range(2))
    vae, scheduler = pipeline.vae, DDPMScheduler.from_config(pipeline.scheduler.config)
    t = torch.tensor([500, 500])
    noisy = scheduler.add_noise(latent, noise, t)
    known = noise if kind == "epsilon" else scheduler.get_velocity(latent, noise, t)
    found = guided.clean(noisy, known, t[0])
    expected = vae.decode(latent / vae.config.scaling_factor).sample / 2 + 0.5
    np.testing.assert_allclose(found, expected.clamp(0, 1), atol=1e-4)


# --- sampling


@pytest.mark.parametrize("scheduler", ["pipeline", "ddpm"])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_without_guidance_it_is_plain_sampling_to_the_bit(pipeline, scheduler, scale):
    images, trace = drawn(
        pipeline, [upload(0), upload(1)], scale=scale, scheduler=scheduler, **PLAIN
    )
    asked = orders(pipeline, [upload(0), upload(1)])
    own = pipeline.scheduler
    if scheduler == "ddpm":
        pipeline.scheduler = DDPMScheduler.from_config(own.config, clip_sample=False)
    try:
        context = torch.stack([order.embedding for order in asked])
        plain = pipeline(
            prompt_embeds=context,
            negative_prompt_embeds=embedded(pipeline, [""]).expand(len(asked), -1, -1),
            height=32,
            width=32,
            num_inference_steps=3,
            guidance_scale=scale,
            generator=[torch.Generator().manual_seed(order.seed) for order in asked],
            output_type="np",
        ).images
    finally:
        pipeline.scheduler = own
    np.testing.assert_array_equal(images, (plain * 255).round().astype(np.uint8))
    assert (trace.cross_entropy, trace.steps) == ([], {})


@pytest.mark.parametrize("form", ["noise", "latent"])
@pytest.mark.parametrize("zero", [{"cross_entropy": 0.0, "batch_norm": 0.0}, {"strength": 0.0}])
def test_guidance_of_no_weight_is_plain_sampling_too(pipeline, form, zero):
    plain, _ = drawn(pipeline, [upload()], **PLAIN)
    images, trace = drawn(pipeline, [upload()], form=form, editing_steps=0, **zero)
    np.testing.assert_array_equal(images, plain)
    assert trace.steps == {}


@pytest.mark.parametrize("form", ["noise", "latent"])
def test_guidance_lowers_its_loss(pipeline, form):
    uploads = [upload(client) for client in range(3)]
    losses = {}
    for name, changes in (
        ("plain", PLAIN),
        ("guided", {}),
        ("edited", {"guide": False}),
    ):
        images, _ = drawn(
            pipeline,
            uploads,
            count=3,
            form=form,
            strength=STRONG[form],
            editing_step=100.0,
            **changes,
        )
        x = images.permute(0, 3, 1, 2) / 255
        found = [
            each.losses(x[3 * row : 3 * row + 3], torch.arange(3))
            for row, each in enumerate(uploads)
        ]
        entropy, batch_norm = (torch.cat(parts) for parts in zip(*found, strict=True))
        losses[name] = (entropy + 0.1 * batch_norm).mean()
    assert losses["guided"] < losses["plain"] - 0.02
    assert losses["edited"] < losses["plain"]


def test_each_loss_pulls_its_own_way(pipeline):
    own = [upload()]
    _, both = drawn(pipeline, own, editing_steps=6, editing_step=1.0)
    assert len(both.cross_entropy) == 6 + 3
    assert both.cross_entropy[5] < both.cross_entropy[0]
    _, one = drawn(pipeline, own, editing_steps=6, editing_step=0.1, editing_loss="batch_norm")
    assert one.batch_norm[5] < one.batch_norm[0]
    assert one.cross_entropy[5] > both.cross_entropy[5]


def test_the_editing_of_algorithm_1_knows_neither_label_nor_weight(pipeline):
    """L_BN alone, and not times λ: a class, or another λ, edits the noise to the same bits."""
    own = upload()
    asked = orders(pipeline, [own], count=1)
    relabelled = [replace(asked[0], label=2)]
    chosen = {"editing_loss": "batch_norm", "cross_entropy": 1.0}
    edited = [
        Guided(pipeline, guidance(batch_norm=weight, **chosen), 2, 3.0).draw(which, 32)[1]
        for weight, which in ((0.2, asked), (0.2, relabelled), (7.0, asked))
    ]
    assert torch.equal(edited[0].promised[1], edited[1].promised[1])
    assert torch.equal(edited[0].promised[1], edited[2].promised[1])
    assert edited[0].cross_entropy[0] != edited[1].cross_entropy[0]


# --- Eq. 10, by hand


def by_hand(pipeline, asked, form, kind, step_size, steps=3):
    """The latents after sampling in float64 NumPy but for the U-Net, its gradient and the sampler."""
    own = asked[0].upload
    guided = Guided(pipeline, guidance(**PLAIN), steps, 3.0)
    guided.kind, guided.context = kind, guided._context(asked)
    scheduler, vae = guided.scheduler, pipeline.vae
    scheduler.set_timesteps(steps)
    noises = [torch.Generator().manual_seed(order.seed) for order in asked]
    s = torch.cat([torch.randn(1, 4, 8, 8, generator=each) for each in noises])
    labels = torch.tensor([order.label for order in asked])
    for t in scheduler.timesteps:
        alpha = scheduler.alphas_cumprod[t].double().numpy()
        root, rest = np.sqrt(alpha), np.sqrt(1 - alpha)
        leaf = s.clone().requires_grad_()
        output = guided._prediction(leaf, t)
        weights = (1 / root, -rest / root) if kind == "epsilon" else (root, -rest)
        latent = weights[0] * leaf.double() + weights[1] * output.double()
        images = vae.decode((latent / vae.config.scaling_factor).float()).sample / 2 + 0.5
        entropy, distance = own.losses(images.clamp(0, 1), labels)
        (slope,) = torch.autograd.grad((entropy + 0.2 * distance).sum(), leaf)
        x, v, g = (each.detach().double().numpy() for each in (s, output, slope))
        with torch.no_grad():
            if form == "latent":
                s = torch.from_numpy(x - step_size * g).float()
                said = guided._prediction(s, t)
            else:
                noise = v if kind == "epsilon" else rest * x + root * v
                noise = noise + step_size * rest * g  # Eq. 10, of a loss that is to fall
                clean = (x - rest * noise) / root
                said = noise if kind == "epsilon" else root * noise - rest * clean
                said = torch.from_numpy(said).float()
            s = scheduled(scheduler, said, t, s, noises)
        decoded = vae.decode(s / vae.config.scaling_factor).sample / 2 + 0.5
    return (decoded.detach().clamp(0, 1).permute(0, 2, 3, 1).numpy() * 255).round()


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("form", ["noise", "latent"])
def test_both_forms_equal_numpy(pipeline, form, kind):
    """Whole samplings: the gradient, its place in the prediction of noise or of velocity, its sign."""
    asked, size = orders(pipeline, [upload()]), STRONG[form]
    known = pipeline.scheduler
    pipeline.scheduler = type(known).from_config(known.config, prediction_type=kind)
    try:
        chosen = guidance(form=form, editing_steps=0, batch_norm=0.2, strength=size)
        guided = Guided(pipeline, chosen, 3, 3.0)
        assert guided.kind == kind
        images, _ = guided.draw(asked, 32)
        expected = by_hand(pipeline, asked, form, kind, size)
        plain, _ = Guided(pipeline, guidance(**PLAIN), 3, 3.0).draw(asked, 32)
    finally:
        pipeline.scheduler = known
    assert np.abs(images.numpy() - expected).max() <= 1
    assert np.abs(plain.numpy() - expected).max() > 8  # the guidance is no rounding


def test_a_step_of_eq_10_asks_the_u_net_once(pipeline, monkeypatch):
    calls = []
    forward = pipeline.unet.forward
    monkeypatch.setattr(
        pipeline.unet, "forward", lambda *a, **k: calls.append(1) or forward(*a, **k)
    )
    counts = {}
    for form in ("noise", "latent"):
        calls.clear()
        drawn(pipeline, [upload()], form=form)
        counts[form] = len(calls)
    assert counts == {"noise": 2 + 3, "latent": 2 + 3 + 3}


def test_nothing_is_asked_of_the_device_between_steps(pipeline, monkeypatch):
    """No number of a tensor is read before the last step is taken: on a GPU each would wait."""
    uploads, read, taken = [upload(0), upload(1)], [], []

    def spied(name):
        plain = getattr(torch.Tensor, name)

        def reading(tensor, *arguments):
            caller = sys._getframe(1)
            if caller.f_globals["__name__"].startswith("fedgenbench"):
                read.append((len(taken), name, caller.f_code.co_name))
            return plain(tensor, *arguments)

        return reading

    for name in ("item", "tolist", "numpy", "cpu", "__bool__", "__int__", "__float__"):
        monkeypatch.setattr(torch.Tensor, name, spied(name))
    monkeypatch.setattr(guidance_module, "step", lambda *a: taken.append(1) or scheduled(*a))
    drawn(pipeline, uploads)
    # The schedule, which stays on the CPU, is looked at before the first step.
    assert {steps for steps, _, where in read if where != "require_noise"} == {3}, read


def test_images_do_not_depend_on_the_batch(pipeline):
    """Two clients of different architectures in one batch, and each image alone."""
    uploads = [upload(0), upload(1, "mini_vgg")]
    asked = orders(pipeline, uploads)
    guided = Guided(pipeline, guidance(), 3, 3.0)
    together, trace = guided.draw(asked, 32)
    alone = torch.cat([guided.draw([order], 32)[0] for order in asked])
    difference = (together.int() - alone.int()).abs()
    # Kernels round differently by batch; a step of the 8-bit scale at most.
    assert difference.max() <= 1
    assert trace.steps == {0: 2 * 5, 1: 2 * 5}


def test_everything_is_frozen(pipeline):
    own = upload()
    parts = (pipeline.unet, pipeline.vae, own.model)
    before = [bits(part) for part in parts]
    drawn(pipeline, [own])
    for part, known in zip(parts, before, strict=True):
        assert_equal(bits(part), known)
        assert all(p.grad is None and not p.requires_grad for p in part.parameters())


def test_checkpointing_changes_no_image(pipeline):
    plain, _ = drawn(pipeline, [upload()])
    other, _ = drawn(untrained(), [upload()], checkpointing=True)
    assert (plain.int() - other.int()).abs().max() <= 1


def test_a_gradient_that_is_not_finite_is_left_out_and_counted(pipeline):
    class Broken(nn.Module):
        """Its gradient is infinite on the first image, nothing on the others."""

        def __init__(self):
            super().__init__()
            self.head = nn.Linear(1, 4)

        def forward(self, x):
            weight = torch.zeros(len(x), 4)
            weight[0, 1] = float("inf")
            return (x.mean((1, 2, 3))[:, None] * weight).nan_to_num(0.0, 0.0, 0.0) + (
                x.flatten(1)[:, :1] - x.flatten(1)[:, :1].detach()
            ) * weight, None

    broken = Upload(7, Broken(), (0,), 4, HALF, HALF, 32).frozen("cpu")
    asked = orders(pipeline, [broken])
    images, trace = Guided(pipeline, guidance(editing_steps=1), 2, 1.0).draw(asked, 32)
    assert trace.skipped[7] >= 3  # one of two images, at each of three gradients
    assert trace.steps[7] == 2 * 3
    plain, _ = Guided(pipeline, guidance(**PLAIN), 2, 1.0).draw(asked, 32)
    np.testing.assert_array_equal(images[0], plain[0])


# --- what the noise promises, and what stands beside the prompt


def test_editing_lowers_the_loss_of_what_the_noise_promises(pipeline):
    own = upload()
    asked = orders(pipeline, [own])
    labels = torch.tensor([order.label for order in asked])
    chosen = guidance(editing_steps=3, batch_norm=0.0, editing_step=20.0)
    _, trace = Guided(pipeline, chosen, 3, 3.0).draw(asked, 32)
    before, after = (
        own.losses(promise.permute(0, 3, 1, 2) / 255, labels)[0].mean()
        for promise in trace.promised
    )
    assert after < before
    # What is promised before is what the first gradient saw, but for the rounding to 8 bits.
    assert before == pytest.approx(trace.cross_entropy[0], abs=0.02)
    assert after == pytest.approx(trace.cross_entropy[3], abs=0.02)
    for changes in ({"editing_steps": 0}, {"guide": False}):
        assert Guided(pipeline, guidance(**changes), 2, 3.0).draw(asked, 32)[1].promised == []


def test_a_description_pulls_by_its_own_weight(pipeline):
    empty, text, other = embedded(pipeline, ["", "a photo of a face", "a tree"])
    s, t = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor(500)

    def prediction(scale, described, **order):
        guided = Guided(pipeline, guidance(**PLAIN), 2, scale, described=described)
        guided.context = guided._context([Order(0, 0, text, 0, **order)])
        return guided._prediction(s, t).detach().numpy()

    def alone(embedding):
        with torch.no_grad():
            return pipeline.unet(s, t, encoder_hidden_states=embedding[None]).sample.numpy()

    e, c, d = alone(empty), alone(text), alone(other)
    found = prediction(3.0, 2.0, description=other)
    np.testing.assert_allclose(found, e + 3 * (c - e) + 2 * (d - e), atol=1e-4)
    found = prediction(1.0, 2.0, description=other)
    np.testing.assert_allclose(found, c + 2 * (d - e), atol=1e-4)
    np.testing.assert_allclose(prediction(1.0, 0.0), c, atol=1e-4)


def test_the_negative_prompt_stands_in_for_the_empty_one(pipeline):
    asked = orders(pipeline, [upload()])
    plain = guidance(**PLAIN)
    images, _ = Guided(pipeline, plain, 2, 3.0).draw(asked, 32)
    same, _ = Guided(pipeline, plain, 2, 3.0, negative="").draw(asked, 32)
    other, _ = Guided(pipeline, plain, 2, 3.0, negative="low quality").draw(asked, 32)
    assert torch.equal(images, same)
    assert not torch.equal(images, other)
    # Away from the prompt itself there is nothing to go: any weight gives the prompt alone.
    away, _ = Guided(pipeline, plain, 2, 7.0, negative="a photo of a face").draw(asked, 32)
    alone, _ = Guided(pipeline, plain, 2, 1.0).draw(asked, 32)
    assert (away.int() - alone.int()).abs().max() <= 1


# --- what is refused


def test_a_head_of_another_size_is_refused():
    with pytest.raises(UserError, match="client 0: its head has 4 classes, 5 are claimed"):
        upload(outputs=5)


@pytest.mark.parametrize(
    ("buffer", "value", "said"),
    [
        ("running_var", 0.0, "norms.1.running_var has a channel of zero variance"),
        ("running_var", float("nan"), "norms.1.running_var is not finite"),
        ("running_mean", float("inf"), "norms.1.running_mean is not finite"),
    ],
)
def test_statistics_that_no_image_can_have_are_refused(buffer, value, said):
    model = build("bn_cnn", (3, 32, 32), 4, 0)
    getattr(model.norms[1], buffer)[3] = value
    with pytest.raises(UserError, match=f"client 5: {said}"):
        Upload(5, model, (0,), 4, HALF, HALF, 32)


# --- Stable Diffusion's layout


@pytest.mark.parametrize(("version", "kind"), [("1.5", "epsilon"), ("2.1", "v_prediction")])
def test_the_same_code_guides_stable_diffusion(version, kind, tmp_path):
    stable_diffusion(tmp_path, version, kind)
    pipeline = base_model(Base(source=str(tmp_path), precision="bf16", resolution=64), "cpu")
    guided = Guided(pipeline, guidance(scheduler="ddpm", checkpointing=True), 2, 3.0)
    images, trace = guided.draw(orders(pipeline, [upload(edge=48)]), 64)
    assert images.shape == (2, 64, 64, 3)
    assert trace.skipped == {0: 0}
    assert np.isfinite(trace.cross_entropy).all()
