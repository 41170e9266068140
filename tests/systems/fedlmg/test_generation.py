"""Uploads in a file, and guided images kept batch by batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from contexts import context
from miniature import untrained as untrained_pipeline
from safetensors.torch import save_file
from tiny_clients import assert_equal, bits
from toy_clients import Killed, holding, quiet, small_images

from fedgenbench.core import artifacts
from fedgenbench.core.answers import shares
from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream
from fedgenbench.data.dataset import Dataset
from fedgenbench.federated.synthetic import Synthetic
from fedgenbench.images import guidance
from fedgenbench.images.adapters import embedded
from fedgenbench.images.generated import load_images
from fedgenbench.systems.fedlmg import clients as clients_module
from fedgenbench.systems.fedlmg.clients import train_clients
from fedgenbench.systems.fedlmg.generation import dealt, generate
from fedgenbench.systems.fedlmg.server import Images, Trainer, planned, serve, unseen
from fedgenbench.systems.fedlmg.settings import UNSEEN
from fedgenbench.systems.fedlmg.similarity import apart, likeness
from fedgenbench.systems.fedlmg.system import GUIDED
from fedgenbench.systems.fedlmg.training import right_answers
from fedgenbench.systems.fedlmg.uploads import load, noised, save, untrained

TRAINING = {"epochs": 1, "batch_size": 4, "lr": 0.01, "momentum": 0.9, "weight_decay": 0.0}
HALF = [0.5, 0.5, 0.5]


def dataset(channels=3):
    generator = stream(0, "toy")

    def part(count):
        images = generator.integers(0, 256, (count, 32, 32, channels)).astype(np.uint8)
        return images, np.arange(count, dtype=np.int64) % 3

    (x, y), (x_test, y_test) = part(12), part(6)
    card = {"name": "toy", "classes": ["face", "plant", "sign"], "domains": None, "sha256": ""}
    return Dataset(
        card=card, train_images=x, train_labels=y, test_images=x_test, test_labels=y_test
    )


def partition(*held):
    return holding(*(held or ([0, 1, 3, 4], [2, 5, 8, 0, 1, 6])), test=(0, 1, 2))


def settings(models=("bn_cnn",), **other):
    return {
        "seed": 0,
        "mean": HALF,
        "std": HALF,
        "imagenet": None,
        "clients": {**TRAINING, "models": list(models)},
        "server": {**TRAINING, "model": "bn_cnn", "trains": "whole"},
        "sizes": [1],
        "ways": ["fedlmg_ft", "fedlmg_md", "fedlmg_sd"],
        "per_class": 2,
        "total_per_class": None,
        "unseen_domains": False,
        "rivals": [],
        "upload_noise": 0.0,
    } | other


def trained(folder, tell=quiet, chosen=None, held=None):
    return train_clients(
        chosen or settings(),
        dataset(),
        held or partition(),
        "cpu",
        checkpoint=Checkpoint(folder, "one"),
        tell=tell,
    )


@pytest.fixture(scope="module")
def pipeline():
    return untrained_pipeline()


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uploads")
    models, facts, _ = trained(folder / "checkpoint")
    save(folder / "classifiers.safetensors", models, facts)
    return folder / "classifiers.safetensors"


def guided(pipeline, path, folder, tell=quiet, seed=0, identity="one", total=None, **changes):
    found = [each.frozen("cpu") for each in load(path, 3).values()]
    chosen = small_images(**changes).model_copy(update={"total_per_class": total})
    prompts = embedded(pipeline, ["a face", "a plant", "a sign"])
    return generate(
        chosen,
        pipeline,
        found,
        prompts,
        seed=seed,
        checkpoint=Checkpoint(folder, identity),
        tell=tell,
    )


# --- clients


def test_uploads_come_out_as_they_went_in(tmp_path):
    models, facts, report = trained(
        tmp_path / "checkpoint", chosen=settings(["bn_cnn", "mini_vgg"])
    )
    sizes = save(tmp_path / "file", models, facts)
    found = load(tmp_path / "file", 3)
    assert list(found) == ["client0", "client1"]
    for name, model in models.items():
        for key, tensor in model.state_dict().items():
            assert torch.equal(tensor, found[name].model.state_dict()[key])
    assert found["client0"].classes == (0, 1)
    assert found["client1"].classes == (0, 1, 2)
    assert (found["client1"].client, found["client1"].edge) == (1, 32)
    # Nothing but weights and statistics: four bytes each.
    state = models["client1"].state_dict().values()
    assert sizes["client1"] == sum(4 * tensor.numel() for tensor in state)
    assert report["images"] == [4, 6]
    assert [len(report["losses"][name]) for name in found] == [1, 1]


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    whole, _, report = trained(tmp_path / "unbroken")

    def kill(done, note):
        if done == 1:
            raise Killed

    with pytest.raises(Killed):
        trained(tmp_path / "broken", kill)
    calls = []
    train = clients_module.train
    monkeypatch.setattr(
        clients_module, "train", lambda *a, **k: calls.append(k["who"]) or train(*a, **k)
    )
    again, _, other = trained(tmp_path / "broken")
    assert calls == ["client 1"]
    assert other == report
    for name, model in whole.items():
        for key, tensor in model.state_dict().items():
            assert torch.equal(tensor, again[name].state_dict()[key])


def test_a_client_without_images_is_named(tmp_path):
    with pytest.raises(UserError, match="client 1 has no training image"):
        trained(tmp_path, held=partition([0, 1], []))


def test_an_upload_of_another_data_set_is_refused(uploads, tmp_path):
    with pytest.raises(
        UserError, match=r"upload of client 0 does not fit bn_cnn with 5 classes: head"
    ):
        load(uploads, 5)
    with pytest.raises(UserError, match="absent is missing or damaged"):
        load(tmp_path / "absent", 3)
    arrays, name = artifacts.load(uploads, "classifiers")[0], "client1/convs.0.weight"
    arrays[name] = arrays[name][:, :1]
    facts = {"client1": {"client": 1, "model": "bn_cnn", "shape": [3, 32, 32], "classes": [0]}}
    facts["client1"] |= {"mean": [0.5] * 3, "std": [0.5] * 3}
    artifacts.save(tmp_path / "other", "classifiers", arrays, facts)
    with pytest.raises(UserError, match="upload of client 1 does not fit bn_cnn"):
        load(tmp_path / "other", 3)


def test_weights_of_imagenet_have_to_be_there(tmp_path):
    with pytest.raises(UserError, match=r"neither resnet34.safetensors nor resnet34.pth"):
        untrained("resnet34", (3, 32, 32), 3, 0, str(tmp_path))


def test_weights_of_imagenet_are_what_a_classifier_starts_from(tmp_path):
    own = untrained("resnet34", (3, 32, 32), 3, 1, None)
    published = {name.replace("head.", "fc."): t for name, t in own.state_dict().items()}
    save_file(published, tmp_path / "resnet34.safetensors")
    found = untrained("resnet34", (3, 32, 32), 3, 0, str(tmp_path)).state_dict()
    for name, tensor in own.state_dict().items():
        assert torch.equal(found[name], tensor) == (not name.startswith("head.")), name


# --- images


def test_every_client_has_images_of_its_classes(pipeline, uploads, tmp_path):
    found = guided(pipeline, uploads, tmp_path)
    # Client 0 holds two classes, client 1 all three.
    assert found.labels.tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 2, 2]
    assert found.style.tolist() == [0] * 4 + [1] * 6
    assert found.images.shape == (10, 32, 32, 3)
    assert found.images.dtype == np.uint8
    # One editing step and two denoising steps.
    assert len(found.report["cross_entropy"]) == len(found.report["batch_norm"]) == 3
    assert found.report["gradients"] == {0: 4 * 3, 1: 6 * 3}
    assert found.report["skipped"] == {0: 0, 1: 0}
    assert not np.array_equal(
        found.images, guided(pipeline, uploads, tmp_path / "b", seed=1).images
    )


def test_rows_of_an_ablation_start_from_the_same_noise(pipeline, uploads, tmp_path):
    """Without steps that move it, main is the row of prompts alone."""
    plain = guided(pipeline, uploads, tmp_path / "a", editing_steps=0, guide=False)
    other = guided(pipeline, uploads, tmp_path / "b", strength=1e-12, editing_step=1e-12)
    assert np.abs(plain.images.astype(int) - other.images).max() <= 1
    moved = guided(pipeline, uploads, tmp_path / "c", strength=100.0)
    assert np.abs(plain.images.astype(int) - moved.images).max() > 1


def test_a_killed_job_draws_at_most_one_batch_again(pipeline, uploads, tmp_path, monkeypatch):
    whole = guided(pipeline, uploads, tmp_path / "unbroken")

    def kill(done, note):
        if done == 8:
            raise Killed

    with pytest.raises(Killed):
        guided(pipeline, uploads, tmp_path / "broken", kill)
    (tmp_path / "broken/batch-0.safetensors").write_bytes(b"damaged")
    drawn, draw = [], guidance.Guided.draw
    monkeypatch.setattr(
        guidance.Guided, "draw", lambda self, o, r: drawn.append(len(o)) or draw(self, o, r)
    )
    again = guided(pipeline, uploads, tmp_path / "broken")
    assert drawn == [4, 2]  # the damaged one, and the one that was not begun
    np.testing.assert_array_equal(again.images, whole.images)
    for key in ("cross_entropy", "batch_norm", "gradients"):
        assert again.report[key] == whole.report[key]
    with pytest.raises(UserError, match="belongs to one, not to two"):
        guided(pipeline, uploads, tmp_path / "broken", identity="two")


def test_what_pictures_show_is_of_the_first_image(pipeline, uploads, tmp_path):
    found = guided(pipeline, uploads, tmp_path / "a")
    job = context(tmp_path / "job", GUIDED, dataset().card["classes"])
    said, _ = found.keep(job)
    assert said == {"images": 10} | found.report
    images, labels, style = load_images(job.outputs["images"])
    np.testing.assert_array_equal(images, found.images)
    strips, labels, style = load_images(job.outputs["shown"])
    assert (labels.tolist(), style.tolist()) == ([0, 1, 0, 1, 2], [0, 0, 1, 1, 1])
    np.testing.assert_array_equal(strips[:, 0], found.images[::2])
    np.testing.assert_array_equal(strips[:, 1:], found.promised)
    assert strips.shape == (5, 3, 32, 32, 3)
    assert not np.array_equal(strips[:, 1], strips[:, 2])
    # Without editing there is nothing but the image; on disk or not makes no difference.
    plain = guided(pipeline, uploads, tmp_path / "b", editing_steps=0)
    plain.keep(job)
    assert load_images(job.outputs["shown"])[0].shape == (5, 1, 32, 32, 3)
    again = guided(pipeline, uploads, tmp_path / "a")
    np.testing.assert_array_equal(again.promised, found.promised)


def test_too_many_gradients_left_out_name_the_client(pipeline, uploads, tmp_path, monkeypatch):
    losses = guidance.Upload.losses

    def broken(self, images, labels):
        entropy, batch_norm = losses(self, images, labels)
        return (entropy * float("nan") if self.client == 1 else entropy), batch_norm

    monkeypatch.setattr(guidance.Upload, "losses", broken)
    with pytest.raises(UserError, match="client 1: 18 of 18 gradients of its classifier were not"):
        guided(pipeline, uploads, tmp_path, batch=20)


# --- the server


def drawn_images(count=10):
    generator = stream(0, "drawn")
    images = generator.integers(0, 256, (count, 32, 32, 3)).astype(np.uint8)
    return Synthetic(images, np.tile([0, 1], count // 2), np.repeat([0, 1], count // 2))


def served(path, images, tell=quiet, **changes):
    trainer = Trainer(settings(**changes), dataset(), partition(), "cpu")
    return serve(trainer, load(path, 3).values(), images, tell=tell)


def test_the_server_gives_every_row(uploads):
    drawn, told = drawn_images(), []
    rivals = {"fgl": drawn.part(np.arange(8)), "feddeo": drawn}
    rows, near = served(
        uploads,
        Images(drawn, drawn.part(np.arange(6)), rivals),
        lambda done, note: told.append(done),
    )
    assert list(rows) == planned(settings() | {"rivals": ["fgl", "feddeo"]}, True)
    assert told == list(range(1, len(rows) + 1))
    counts = {row: each["images"] for row, each in rows.items()}
    assert counts["fedlmg_sd"] == 10
    assert counts["fedlmg_sd@1"] == counts["fedlmg_ft@1"] == 4
    assert counts["prompts"] == 6
    assert counts["prompts@1"] == 3
    assert counts["fgl"] == 8
    # A rival is fine-tuned on its images as FedLMG's own server is.
    assert rows["feddeo"] == rows["fedlmg_ft"]
    assert counts["ceiling"] == counts["ceiling_head"] == 10
    assert all(len(each["accuracy"]) == 2 for each in rows.values())
    assert len(near) == 2
    assert set(near[0]) == {
        *(
            f"{name}_{kind}"
            for name in ("guided", "prompts", "held_out")
            for kind in ("distance", "nearest", "copied")
        ),
        *(f"{name}_frechet" for name in ("guided", "prompts", "half", "others")),
    }
    # Prompts' images are the first six: fine-tuning on those of the guided ones is the same row.
    same, none = served(uploads, Images(drawn.part(np.arange(6))), sizes=[], ways=["fedlmg_ft"])
    assert same["fedlmg_ft"] | {"epochs": 0} == rows["prompts"] | {"epochs": 0}
    assert none == []
    assert list(same) == ["fedlmg_ft"]


def test_a_client_s_domain_is_judged_by_what_the_others_sent(uploads):
    """The same model as that of the others' images alone, and the others' own mean."""
    drawn, trainer = drawn_images(), Trainer(settings(), dataset(), partition(), "cpu")
    longer = settings()["server"] | {"epochs": 2}  # half the images, as many steps
    again = Trainer(settings(server=longer), dataset(), partition(), "cpu")
    found = unseen(trainer, load(uploads, 3).values(), drawn)
    assert list(found) == [*UNSEEN]
    for client, other in ((0, 1), (1, 0)):
        (upload,) = (each for each in load(uploads, 3).values() if each.client == other)
        part = drawn.part(np.flatnonzero(drawn.style == other))
        one = Synthetic(part.images, part.labels, np.zeros_like(part.style))
        rows, _ = serve(again, [upload], Images(one), tell=quiet)
        x, y, tests = trainer.test
        assert found["unseen_sd"]["accuracy"][client] == rows["fedlmg_sd"]["accuracy"][client]
        alone = right_answers(upload.frozen("cpu").model, x, y, [tests[client]])
        assert found["unseen_ensemble"]["accuracy"][client] == shares(alone)[0]


@pytest.mark.parametrize("total", [1, 4, 5])
def test_a_total_is_dealt_out_to_the_clients_that_hold_a_class(uploads, total):
    """Client 1 alone holds class 2; of the others both have half, but for one."""
    both = list(load(uploads, 3).values())
    found = dealt(small_images().model_copy(update={"total_per_class": total}), both, seed=0)
    assert [upload.classes for upload in both] == [(0, 1), (0, 1, 2)]
    assert found[1][2] == total
    assert 2 not in found[0]
    for label in (0, 1):
        counts = [each.get(label, 0) for each in found]
        assert sum(counts) == total
        assert sorted(counts) == [total // 2, total - total // 2]
    assert dealt(small_images(), both, 0) == [dict.fromkeys(u.classes, 2) for u in both]


def test_images_dealt_out_are_the_first_of_those_of_each(pipeline, uploads, tmp_path):
    """A client's image has the same noise whoever else draws."""
    whole = guided(pipeline, uploads, tmp_path / "a")
    dealt_out = guided(pipeline, uploads, tmp_path / "b", total=3)
    assert np.bincount(dealt_out.labels).tolist() == [3, 3, 3]
    taken = {}
    for image, *place in zip(dealt_out.images, dealt_out.style, dealt_out.labels, strict=True):
        number = taken[tuple(place)] = taken.get(tuple(place), -1) + 1
        if number < 2:
            same = (whole.style == place[0]) & (whole.labels == place[1])
            np.testing.assert_allclose(image.astype(int), whole.images[same][number], atol=1)
    assert len(dealt_out.promised) == len(taken)


def test_few_images_are_trained_on_for_as_many_steps_as_all(uploads):
    """Sizes differ in the images alone: epochs make up for them (but for rounding)."""
    chosen = settings()["server"] | {"epochs": 3}
    rows, _ = served(uploads, Images(drawn_images(8)), server=chosen, per_class=2)
    seen = {row: each["epochs"] * each["images"] for row, each in rows.items()}
    assert rows["fedlmg_ft"]["epochs"] == 3
    assert rows["fedlmg_ft@1"]["epochs"] == 6
    assert set(seen.values()) == {24}
    assert len(rows["fedlmg_ft@1"]["losses"]) == 6


def test_noise_on_uploads_is_a_share_of_each_tensor_s_deviation(uploads):
    plain, noisy, again = (load(uploads, 3)["client0"] for _ in range(3))
    assert noised(noisy, 50.0, 3) is noisy
    noised(again, 50.0, 3)
    other = noised(load(uploads, 3)["client1"], 50.0, 3)
    for name, before in plain.model.state_dict().items():
        after = noisy.model.state_dict()[name]
        assert torch.equal(after, again.model.state_dict()[name])
        if "running" in name:  # no parameters
            assert torch.equal(after, before)
        elif before.numel() > 1000:
            ratio = float((after - before).std() / before.std(correction=0))
            assert ratio == pytest.approx(0.5, rel=0.1)
    first = (noisy.model.head.weight - plain.model.head.weight).flatten()
    second = (other.model.head.weight - load(uploads, 3)["client1"].model.head.weight).flatten()
    assert torch.corrcoef(torch.stack([first, second]))[0, 1].abs() < 0.5  # noise of its own
    untouched = noised(load(uploads, 3)["client0"], 0.0, 3)
    assert_equal(bits(untouched.model), bits(plain.model))


def test_halves_of_one_client_are_nearer_than_another_s_images():
    data, generator = dataset(), stream(0, "colours")
    shade = np.array([40, 200])[np.arange(12) // 6]
    spread = generator.normal(0, 10, (12, 1, 1, 1))
    coloured = (shade[:, None, None, None] + spread).clip(0, 255) * np.ones((12, 32, 32, 3))
    data = replace(data, train_images=coloured.astype(np.uint8))
    held = partition([0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11])

    def features(images):
        return torch.from_numpy(images.reshape(len(images), -1)[:, :2].astype(np.float64))

    style = np.repeat([0, 1], 3)
    same = Synthetic(data.train_images[[0, 1, 2, 6, 7, 8]], np.zeros(6, np.int64), style)
    swapped = Synthetic(data.train_images[[6, 7, 8, 0, 1, 2]], np.zeros(6, np.int64), style)
    for client in apart(data, held, same, swapped, features, seed=0):
        assert client["half_frechet"] < client["others_frechet"] / 10
        assert client["guided_frechet"] < client["prompts_frechet"] / 10
        assert client["prompts_frechet"] == pytest.approx(2 * 160**2, rel=0.3)


def test_a_copy_is_found_and_white_is_far():
    data = dataset()
    held = partition([0, 1, 3, 4], [2, 5, 8, 6])
    copies = data.train_images[[0, 1, 2, 5]]
    white = np.full((4, 32, 32, 3), 255, np.uint8)  # farther from noise than noise is
    style, labels = np.array([0, 0, 1, 1]), np.zeros(4, np.int64)

    def features(images):
        return torch.from_numpy(images.reshape(len(images), -1)[:, :5] / 255)

    near = likeness(
        data, held, Synthetic(copies, labels, style), Synthetic(white, labels, style), features
    )
    for client in near:
        assert client["guided_nearest"] == pytest.approx(0, abs=1e-6)
        assert client["guided_copied"] == 1
        assert client["prompts_copied"] == 0
    own = data.train_images[[0, 1, 3, 4]] / 255
    versions = np.concatenate([own, own[:, :, ::-1]])
    rms = np.sqrt(((versions - 1) ** 2).mean((1, 2, 3))).min()
    assert near[0]["prompts_nearest"] == pytest.approx(rms, abs=1e-9)
