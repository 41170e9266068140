"""FedDISC: what clients send, and images that depend on their own seeds alone."""

import json

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from miniature import untrained
from miniature_unclip import WIDTH
from miniature_unclip import pipeline as untrained_unclip
from toy_clients import UNGUIDED, Killed, holding, quiet, small_images

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream, torch_seed
from fedgenbench.data.dataset import Dataset
from fedgenbench.images.adapters import embedded
from fedgenbench.images.memory import Batch
from fedgenbench.images.pipeline import save
from fedgenbench.images.pixels import to_tensor
from fedgenbench.systems.fedlmg import feddisc
from fedgenbench.systems.fedlmg.baseline_settings import FedDISC
from fedgenbench.systems.fedlmg.feddisc import Order, clustered, draw, features, load_unclip, upload


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unclip") / "model"
    save(untrained_unclip(), folder)
    return folder


@pytest.fixture(scope="module")
def pipeline(source):
    return load_unclip(source, torch.float32, "cpu")


def dataset(channels=3):
    generator = stream(0, "toy")
    x = generator.integers(0, 256, (12, 32, 32, channels)).astype(np.uint8)
    y = np.arange(12, dtype=np.int64) % 3
    card = {"name": "toy", "classes": ["face", "plant", "sign"], "domains": None, "sha256": ""}
    return Dataset(card=card, train_images=x, train_labels=y, test_images=x, test_labels=y)


def partition(*held):
    return holding(*(held or ([0, 1, 3, 4, 6, 9], [2, 5, 8])))


def contest(batch=4, per_class=3):
    return small_images("a photo of a {label}", batch=batch, per_class=per_class, **UNGUIDED)


def settings(source="nowhere", **changes):
    base = {"source": str(source), "precision": "fp32", "resolution": 32}
    chosen = {"base": base, "centroids": 2, "client_noise_level": 500, "noise_level": 200}
    return FedDISC.model_validate(chosen | changes)


def drawn(source, folder, held=None, tell=quiet, seed=0, batch=4, data=None, **changes):
    return feddisc.images(
        contest(batch),
        settings(source, **changes),
        data or dataset(),
        held or partition(),
        "cpu",
        seed=seed,
        checkpoint=Checkpoint(folder, "one"),
        tell=tell,
    )


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    return drawn(source, tmp_path_factory.mktemp("whole"))


def apart(a, b):
    """The greatest difference of two sets of images, image by image."""
    return np.abs(a.astype(int) - b).max((1, 2, 3))


# --- The client ---


def test_features_are_the_encoders(pipeline):
    private = dataset().train_images
    found = features(pipeline, private, Batch(5, "test"))
    with torch.no_grad():
        expected = pipeline.image_encoder(to_tensor(private)).image_embeds
    assert found.shape == (12, WIDTH)
    assert torch.allclose(found, expected, atol=1e-5)


def test_grey_images_are_seen_as_such(pipeline):
    grey = dataset(channels=1).train_images
    one, three = (features(pipeline, x, Batch(9, "test")) for x in (grey, grey.repeat(3, 3)))
    assert torch.equal(one, three)


def test_centroids_of_distant_groups_are_their_means():
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = centres.repeat(4, 0) + stream(0, "points").normal(0, 0.1, (12, 2))
    found = clustered(points, 3, stream(0, "k-means"))
    means = points.reshape(3, 4, 2).mean(1)
    found = found[np.argsort(found @ [1, 2])]
    assert found == pytest.approx(means[np.argsort(means @ [1, 2])])


@given(st.integers(1, 8), st.integers(1, 8))
def test_there_are_at_most_as_many_centroids_as_images(images, count):
    points = stream(0, "points", images).normal(size=(images, 3))
    found = clustered(points, count, stream(0, "k-means"))
    assert len(found) == min(images, count)
    if images <= count:
        assert np.array_equal(found, points)
    else:  # a mean of means, weighted, is that of all: so it lies between the extremes
        assert (found.min(0) >= points.min(0) - 1e-9).all()
        assert (found.max(0) <= points.max(0) + 1e-9).all()


def sent(pipeline, labels, level=500, count=20, client=3):
    own = settings(client_noise_level=level, centroids=count)
    private = dataset().train_images
    return upload(own, pipeline, private, labels, (0, "feddisc", client), Batch(5, "test"))


def test_what_is_sent_is_noised_by_the_models_own_schedule(pipeline):
    labels = dataset().train_labels
    plain = features(pipeline, dataset().train_images, Batch(5, "test")).numpy()
    share = pipeline.image_noising_scheduler.alphas_cumprod[500].item()
    assert share == pytest.approx(0.5, abs=0.02)
    known = dict(pipeline.image_normalizer.named_parameters())
    mean, std = (known[name].detach().numpy() for name in ("mean", "std"))
    for label, centroids in sent(pipeline, labels).items():
        mine = (plain[labels == int(label)] - mean) / std
        seed = torch_seed(0, "feddisc", 3, int(label), "protection")
        noise = torch.randn(mine.shape, generator=torch.Generator().manual_seed(seed)).numpy()
        expected = (share**0.5 * mine + (1 - share) ** 0.5 * noise) * std + mean
        assert centroids.dtype == np.float16
        assert centroids == pytest.approx(expected, rel=2e-3, abs=2e-3)


def test_what_is_sent_of_a_class_does_not_depend_on_the_others(pipeline):
    labels = dataset().train_labels
    merged = np.where(labels == 2, 1, labels)
    one, other = (sent(pipeline, each, count=2) for each in (labels, merged))
    assert np.array_equal(one["0"], other["0"])
    assert set(other) == {"0", "1"}
    assert not np.array_equal(one["0"], sent(pipeline, labels, count=2, client=4)["0"])
    assert not np.array_equal(one["0"], sent(pipeline, labels, count=2, level=0)["0"])


# --- The server ---


def orders(pipeline, seeds, scale=1.0):
    draws = torch.randn(len(seeds), WIDTH, generator=torch.Generator().manual_seed(9)) * scale
    return [Order(0, row % 3, draws[row], seed) for row, seed in enumerate(seeds)]


def rendered(pipeline, chosen, **changes):

    prompts = embedded(pipeline, ["face", "plant", "sign"])
    sampler = contest().sampler
    return draw(settings(**changes), pipeline, chosen, prompts, sampler, 32)


def test_an_image_depends_on_its_own_seed_whatever_the_batch_and_global_state(pipeline):
    chosen = orders(pipeline, [1, 2, 3, 4])
    together = rendered(pipeline, chosen)
    state = torch.get_rng_state()
    alone = np.concatenate([rendered(pipeline, [order]) for order in chosen[::-1]])[::-1]
    assert torch.equal(state, torch.get_rng_state())
    assert apart(together, alone).max() <= 1
    other = rendered(pipeline, [chosen[0], *orders(pipeline, [0, 7, 0, 0])[1:2], *chosen[2:]])
    assert (apart(together, other) > 1).tolist() == [False, True, False, False]


def test_the_centroid_and_the_noise_on_it_bend_the_image(pipeline):
    chosen = orders(pipeline, [1, 2])
    plain = rendered(pipeline, chosen)
    others = [Order(0, order.label, -order.centroid, order.seed) for order in chosen]
    assert (apart(plain, rendered(pipeline, others)) > 1).all()
    assert (apart(plain, rendered(pipeline, chosen, noise_level=900)) > 1).all()


def test_noise_on_a_centroid_comes_first_from_the_images_generator(pipeline):
    """Against the pipeline's own parts, put together anew: noised embedding, then latents."""
    seen = []
    hook = pipeline.unet.register_forward_pre_hook(
        lambda module, args, known: seen.append((args[0], known["class_labels"])), with_kwargs=True
    )
    (order,) = orders(pipeline, [11])
    rendered(pipeline, [order])
    hook.remove()
    generator = torch.Generator().manual_seed(11)
    noise = torch.randn(1, WIDTH, generator=generator)
    latents = torch.randn(1, 4, 8, 8, generator=generator)
    expected = pipeline.noise_image_embeddings(order.centroid[None], 200, noise)
    assert torch.allclose(seen[0][1][1:], expected)
    assert not seen[0][1][0].any()
    assert torch.allclose(seen[0][0][1:], latents * pipeline.scheduler.init_noise_sigma)


def test_an_image_that_is_not_finite_is_told(pipeline):
    broken = [Order(4, 0, torch.full((WIDTH,), torch.nan), 1)]
    with pytest.raises(UserError, match=r"client 4: an image of class 0 is not finite.*precision"):
        rendered(pipeline, broken)


# --- Both ---


def test_each_client_and_class_that_is_held_gets_its_images(whole):
    assert whole.images.shape == (9, 32, 32, 3)
    assert whole.images.dtype == np.uint8
    assert whole.style.tolist() == [0] * 6 + [1] * 3
    assert whole.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_the_report_counts_what_goes_up(whole):
    # Client 0 has four faces and two plants, client 1 three signs; two centroids each, fp16.
    assert whole.report["upload_bytes"] == {0: 2 * 2 * WIDTH * 2, 1: 2 * WIDTH * 2}
    assert whole.report["client_seconds"].keys() == {0, 1}
    assert min(whole.report["client_seconds"].values()) > 0
    assert whole.report["seconds_per_image"] > 0
    assert whole.report["notes"] == []
    json.dumps(whole.report)


def test_images_of_a_client_do_not_depend_on_the_others(whole, source, tmp_path):
    alone = drawn(source, tmp_path, held=partition([0, 1, 3, 4, 6, 9]), batch=3)
    assert apart(alone.images, whole.images[:6]).max() <= 1
    other = drawn(source, tmp_path / "seed", seed=1)
    assert (apart(other.images, whole.images) > 1).all()


def test_centroids_take_turns(source, tmp_path, monkeypatch):
    given_ = []
    monkeypatch.setattr(
        feddisc,
        "draw",
        lambda own, pipe, chosen, *rest: (
            given_.extend(chosen) or np.zeros((len(chosen), 32, 32, 3), np.uint8)
        ),
    )
    drawn(source, tmp_path)
    first, second, third = (order.centroid for order in given_[:3])
    assert torch.equal(first, third)
    assert not torch.equal(first, second)
    seeds = [torch_seed(0, "feddisc", 0, 0, number) for number in range(3)]
    assert [order.seed for order in given_[:3]] == seeds


@pytest.mark.parametrize("at", [1, 2])
def test_a_killed_job_resumes_to_the_same_bits(at, whole, source, tmp_path, monkeypatch):
    calls = []

    def kill(done, note):
        calls.append(note)
        if len(calls) == at:
            raise Killed

    with pytest.raises(Killed):
        drawn(source, tmp_path, tell=kill)
    made = []
    known = feddisc.draw
    monkeypatch.setattr(feddisc, "draw", lambda *given_: made.append(1) or known(*given_))
    monkeypatch.setattr(feddisc, "upload", None)  # what clients sent is there
    resumed = drawn(source, tmp_path)
    assert len(made) == 3 - at
    assert np.array_equal(resumed.images, whole.images)
    assert resumed.report["upload_bytes"] == whole.report["upload_bytes"]


def test_what_is_there_of_another_identity_is_refused(source, tmp_path):
    Checkpoint(tmp_path, "other").put("centroids-0", {"0": np.zeros((1, WIDTH))}, {})
    with pytest.raises(UserError, match="belongs to other"):
        drawn(source, tmp_path)


def test_features_that_are_not_finite_are_told(source, tmp_path, monkeypatch):
    broken = torch.full((6, WIDTH), torch.nan)
    monkeypatch.setattr(feddisc, "features", lambda *given_: broken)
    monkeypatch.setattr(feddisc, "clustered", lambda points, *rest: points[:2])
    with pytest.raises(UserError, match=r"client 0: a feature .* not finite .*precision"):
        drawn(source, tmp_path)


# --- The model ---


def test_an_index_as_the_hub_has_it_is_loaded(source, tmp_path):
    import shutil

    folder = tmp_path / "hub"
    shutil.copytree(source, folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index))
    found = load_unclip(folder, torch.float32, "cpu")
    assert rendered(found, orders(found, [1])).shape == (1, 32, 32, 3)


def test_what_is_loaded_is_what_was_saved_to_half_precision(pipeline):
    original = untrained_unclip()
    for part in ("unet", "image_encoder", "image_normalizer", "vae", "text_encoder"):
        loaded = dict(getattr(pipeline, part).named_parameters())
        for name, tensor in getattr(original, part).named_parameters():
            assert torch.equal(tensor.half().float(), loaded[name]), (part, name)
    assert pipeline.image_noising_scheduler.config.beta_schedule == "squaredcos_cap_v2"


def test_a_model_that_is_not_here_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"hf download somebody/absent --local-dir") as caught:
        load_unclip("somebody/absent", torch.float32, "cpu")
    assert "image_normalizer" in str(caught.value)
    assert "fedlmg.rivals.feddisc.base.source" in str(caught.value)


def test_a_model_without_an_image_encoder_is_told(tmp_path):
    save(untrained(), tmp_path / "plain")
    with pytest.raises(UserError, match="the model is a StableDiffusionPipeline, not"):
        load_unclip(tmp_path / "plain", torch.float32, "cpu")
