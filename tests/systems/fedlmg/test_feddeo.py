"""FedDEO: what a description learns, what goes up, and what is drawn from it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from miniature import untrained
from toy_clients import UNGUIDED, Killed, holding, quiet, small_images

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream
from fedgenbench.data.dataset import Dataset
from fedgenbench.images.adapters import embedded
from fedgenbench.images.memory import Batch
from fedgenbench.systems.fedlmg import feddeo
from fedgenbench.systems.fedlmg.baseline_settings import FedDEO
from fedgenbench.systems.fedlmg.costs import flops
from fedgenbench.systems.fedlmg.generation import generate

CLASSES = ["face", "plant", "ice_cream"]
PROMPTS = ["a face", "a plant", "a ice cream"]


@pytest.fixture(scope="module")
def pipeline():
    return untrained()


@pytest.fixture
def given(pipeline, monkeypatch):
    """The untrained miniature is the base model."""
    monkeypatch.setattr(feddeo, "base_model", lambda base, device: pipeline)


def contest(guidance=3.0, per_class=2):
    return small_images(scale=guidance, per_class=per_class, **UNGUIDED)


def own(epochs=1, lr=10.0, guidance=3.0):
    return FedDEO(epochs=epochs, lr=lr, guidance=guidance)


def dataset(changed=()):
    """Twelve images of three classes; those in ``changed`` have other pixels."""
    x = stream(0, "toy").integers(0, 256, (12, 32, 32, 3)).astype(np.uint8)
    x[list(changed)] = 255 - x[list(changed)]
    y = np.arange(12, dtype=np.int64) % 3
    card = {"name": "toy", "classes": CLASSES, "domains": None, "sha256": ""}
    return Dataset(card=card, train_images=x, train_labels=y, test_images=x, test_labels=y)


def partition():
    """Client 0 holds two images of two classes each, client 1 one to three of all three."""
    return holding([0, 1, 3, 4], [2, 5, 8, 6, 7, 10])


def images(folder, settings=None, chosen=None, data=None, tell=quiet, identity="one", held=None):
    return feddeo.images(
        chosen or contest(),
        settings or own(),
        data or dataset(),
        held or partition(),
        "cpu",
        seed=0,
        checkpoint=Checkpoint(folder, identity),
        tell=tell,
    )


def latents(pipeline, *counts):
    generator = torch.Generator().manual_seed(0)
    edge, channels = pipeline.unet.config.sample_size, pipeline.unet.config.in_channels
    return [torch.randn(count, channels, edge, edge, generator=generator) for count in counts]


def learn(pipeline, settings, held, seeds, batch=8):
    pipeline.unet.requires_grad_(False)
    starts = embedded(pipeline, PROMPTS)[: len(held)]
    return feddeo.learn(settings, pipeline, held, starts, seeds, Batch(batch, "learning"))


# --- learning


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_error_equals_numpy(pipeline, kind):
    scheduler = DDPMScheduler.from_config(pipeline.scheduler.config, prediction_type=kind)
    chosen = pipeline.scheduler.config
    betas = np.linspace(chosen.beta_start**0.5, chosen.beta_end**0.5, 1000) ** 2
    clean, noise = latents(pipeline, 2, 2)
    t, context = torch.tensor([30, 700]), embedded(pipeline, PROMPTS[:2])
    level = np.cumprod(1 - betas)[t.numpy()][:, None, None, None]
    x, e = clean.double().numpy(), noise.double().numpy()
    noisy = torch.from_numpy(level**0.5 * x + (1 - level) ** 0.5 * e).float()
    with torch.no_grad():
        found = pipeline.unet(noisy, t, encoder_hidden_states=context).sample.double().numpy()
        known = e if kind == "epsilon" else level**0.5 * e - (1 - level) ** 0.5 * x
        np.testing.assert_allclose(
            feddeo.errors(pipeline, scheduler, context, clean, noise, t),
            ((found - known) ** 2).mean((1, 2, 3)),
            rtol=1e-4,
        )


def test_each_image_is_a_step_of_sgd_on_the_mean_squared_error(pipeline, monkeypatch):
    seen, errors = [], feddeo.errors
    monkeypatch.setattr(feddeo, "errors", lambda *a: seen.append(a) or errors(*a))
    (held,) = latents(pipeline, 3)
    (learnt,), (loss,) = learn(pipeline, own(epochs=2, lr=4.0), [held], [5])
    monkeypatch.undo()
    assert len(seen) == 6
    for one in (seen[:3], seen[3:]):  # each pass takes every image once
        clean = torch.cat([a[3] for a in one])
        assert sorted(held.flatten(1).tolist()) == sorted(clean.flatten(1).tolist())
    assert len({a[5].item() for a in seen}) > 1
    assert len({a[4].sum().item() for a in seen}) == 6
    description = torch.nn.Parameter(embedded(pipeline, PROMPTS[:1]))
    optimiser, losses = torch.optim.SGD([description], lr=4.0), []
    for _, scheduler, _, clean, noise, t in seen:
        optimiser.zero_grad()
        noisy = scheduler.add_noise(clean, noise, t)
        found = pipeline.unet(noisy, t, encoder_hidden_states=description).sample
        losses.append(F.mse_loss(found, noise))
        losses[-1].backward()
        optimiser.step()
    np.testing.assert_allclose(learnt, description[0].detach(), atol=1e-6)
    assert (learnt - embedded(pipeline, PROMPTS[:1])[0]).abs().max() > 1e-4
    assert loss == pytest.approx(sum(losses).item() / 6, rel=1e-5)


def test_a_description_s_step_is_down_the_gradient_by_finite_differences(monkeypatch):
    pipeline, seen, errors = untrained(), [], feddeo.errors
    monkeypatch.setattr(feddeo, "errors", lambda *a: seen.append(a) or errors(*a))
    (learnt,), _ = learn(pipeline, own(lr=100.0), latents(pipeline, 1), [5])
    _, scheduler, start, clean, noise, t = seen[0]
    unet, start = pipeline.unet.double(), start.detach().double()
    noisy = scheduler.add_noise(clean.double(), noise.double(), t)

    @torch.no_grad()
    def loss(context):
        found = unet(noisy, t, encoder_hidden_states=context).sample
        return (found - noise).square().mean().item()

    moved = (learnt.double() - start[0]) / -100.0
    directions = torch.randn(4, *moved.shape, generator=torch.Generator().manual_seed(1))
    for direction in (moved / moved.norm(), *directions.double()):
        step = 1e-4 * direction
        slope = (loss(start + step) - loss(start - step)) / 2e-4
        assert (moved * direction).sum().item() == pytest.approx(slope, rel=1e-2, abs=1e-6)
    assert moved.norm() > 1e-4


def test_classes_side_by_side_learn_what_each_learns_alone(pipeline):
    held, seeds = latents(pipeline, 3, 1, 2), [7, 8, 9]
    together, losses = learn(pipeline, own(epochs=2), held, seeds)
    for batch in (1, 2):
        apart, others = learn(pipeline, own(epochs=2), held, seeds, batch)
        np.testing.assert_allclose(apart, together, atol=1e-6)
        np.testing.assert_allclose(others, losses, rtol=1e-5)
    starts = embedded(pipeline, PROMPTS)
    for k in range(3):
        (alone,), _ = feddeo.learn(
            own(epochs=2), pipeline, held[k : k + 1], starts[k : k + 1], [seeds[k]], Batch(1, "")
        )
        np.testing.assert_allclose(alone, together[k], atol=1e-6)
        assert (alone - starts[k]).abs().max() > 1e-4


def test_learning_lowers_the_error_on_other_noise(pipeline):
    (held,) = latents(pipeline, 4)
    (learnt,), _ = learn(pipeline, own(epochs=20, lr=100.0), [held], [3])
    scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    generator = torch.Generator().manual_seed(99)
    clean = held.repeat(16, 1, 1, 1)
    noise = torch.randn(clean.shape, generator=generator)
    t = torch.randint(1000, (len(clean),), generator=generator)
    with torch.no_grad():
        before, after = (
            feddeo.errors(pipeline, scheduler, c.expand(len(t), -1, -1), clean, noise, t)
            for c in (embedded(pipeline, PROMPTS[:1]), learnt[None])
        )
    gain = before - after
    assert gain.mean() > 4 * gain.std() / len(gain) ** 0.5


def test_latents_are_scaled_posterior_means(pipeline):
    data = dataset().train_images[:2]
    x = torch.from_numpy(data / 127.5 - 1).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected = pipeline.vae.encode(x).latent_dist.mean * pipeline.vae.config.scaling_factor
    found = feddeo._latents(pipeline, data, contest(), Batch(1, ""))
    np.testing.assert_allclose(found, expected, atol=1e-5)


# --- what goes up, and the images


def test_descriptions_of_held_classes_go_up_in_half_precision(given, pipeline, tmp_path):
    before = {k: v.clone() for k, v in pipeline.unet.state_dict().items()}
    before |= {f"vae {k}": v.clone() for k, v in pipeline.vae.state_dict().items()}
    found = images(tmp_path)
    after = pipeline.unet.state_dict()
    after |= {f"vae {k}": v for k, v in pipeline.vae.state_dict().items()}
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    length, width = embedded(pipeline, [""]).shape[1:]
    assert found.report["upload_bytes"] == {0: 2 * length * width * 2, 1: 3 * length * width * 2}
    assert found.labels.tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 2, 2]
    assert found.style.tolist() == [0] * 4 + [1] * 6
    assert found.images.shape == (10, 32, 32, 3)
    assert set(found.report["client_seconds"]) == set(found.report["description_loss"]) == {0, 1}
    assert all(seconds > 0 for seconds in found.report["client_seconds"].values())
    parts = [*pipeline.unet.parameters(), *pipeline.vae.parameters()]
    assert found.report["download_parameters"] == dict.fromkeys(
        (0, 1), sum(map(torch.numel, parts))
    )
    # Of an image: the U-Net once, under one embedding, after the encoder.
    edge = 32 // pipeline.vae_scale_factor
    latent = torch.zeros(1, pipeline.unet.config.in_channels, edge, edge)
    unet = flops(
        lambda: pipeline.unet(latent, 0, encoder_hidden_states=torch.zeros(1, length, width))
    )
    encoder = flops(lambda: pipeline.vae.encode(torch.zeros(1, 3, 32, 32)))
    assert found.report["client_flops"] == dict.fromkeys((0, 1), unet + encoder)


def prompts_alone(pipeline, folder, guidance):
    """The row of prompts alone, with the text guidance ``guidance``."""
    uploads = [
        SimpleNamespace(client=0, classes=(0, 1)),
        SimpleNamespace(client=1, classes=(0, 1, 2)),
    ]
    return generate(
        contest(guidance),
        pipeline,
        uploads,
        embedded(pipeline, PROMPTS),
        seed=0,
        checkpoint=Checkpoint(folder, "one"),
        tell=quiet,
    ).images.astype(int)


def test_without_weight_the_images_are_those_of_prompts_alone(given, pipeline, tmp_path):
    plain = prompts_alone(pipeline, tmp_path / "plain", 3.0)
    found = images(tmp_path / "none", own(guidance=0.0)).images
    np.testing.assert_array_equal(found, plain)
    drawn = images(tmp_path / "some", own(lr=1000.0)).images
    assert np.abs(drawn - plain).mean() > 1


def test_a_description_that_learnt_nothing_adds_to_the_prompt_s_weight(given, pipeline, tmp_path):
    found = images(tmp_path / "a", own(lr=1e-12, guidance=1.5)).images
    more = prompts_alone(pipeline, tmp_path / "b", 4.5)
    assert np.abs(found - more).max() <= 2  # but for half precision
    assert np.abs(found - prompts_alone(pipeline, tmp_path / "c", 3.0)).max() > 2


def test_a_client_learns_from_its_own_images_alone(given, tmp_path):
    found = images(tmp_path / "a", own(lr=1000.0))
    other = images(tmp_path / "b", own(lr=1000.0), data=dataset(changed=[2, 5, 8, 6, 7, 10]))
    mine = found.style == 0
    np.testing.assert_array_equal(found.images[mine], other.images[mine])
    assert (found.images[~mine] != other.images[~mine]).any()
    # An image's noise is its own: more images leave the first as they are.
    more = images(tmp_path / "c", own(lr=1000.0), contest(per_class=3)).images
    assert np.abs(more.astype(int)[[0, 1, 3, 4]] - found.images[:4]).max() <= 1


def test_a_killed_job_goes_on_to_the_same_bits(given, tmp_path, monkeypatch):
    whole = images(tmp_path / "unbroken")

    def kill(done, note):
        raise Killed

    with pytest.raises(Killed):
        images(tmp_path / "broken", tell=kill)
    (tmp_path / "broken/descriptions/client-1.safetensors").write_bytes(b"damaged")
    learnt, learn = [], feddeo.learn
    monkeypatch.setattr(feddeo, "learn", lambda *a: learnt.append(len(a[2])) or learn(*a))
    again = images(tmp_path / "broken")
    assert learnt == [3]  # client 1, which has three classes
    np.testing.assert_array_equal(again.images, whole.images)
    for key in ("upload_bytes", "description_loss", "notes"):
        assert again.report[key] == whole.report[key]
    with pytest.raises(UserError, match="belongs to one, not to two"):
        images(tmp_path / "broken", identity="two")


def test_a_description_that_diverges_names_the_client(given, tmp_path):
    with pytest.raises(UserError, match=r"client 0: its description of 'face' is not finite.*lr"):
        images(tmp_path, own(lr=1e12))


def test_a_client_without_images_is_named(given, tmp_path):
    with pytest.raises(UserError, match="client 0 has no training image"):
        images(tmp_path, held=holding([]))
