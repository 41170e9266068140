"""DENSE: its losses against NumPy, what each of them does, what stays frozen, resumed runs."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from torch import nn

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.images.uploads import Upload, batch_norm_inputs
from fedgenbench.models import build
from fedgenbench.models.layers import BatchNorm
from fedgenbench.systems.fedlmg.baseline_settings import Dense
from fedgenbench.systems.fedlmg.dense import (
    Generator,
    boundary_loss,
    dense,
    divergence,
    ensemble,
    statistics_loss,
)
from fedgenbench.systems.fedlmg.settings import Server

CLASSES, SHAPE = 4, (3, 32, 32)
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
WEIGHTS = ("cross_entropy", "batch_norm", "boundary")


class Killed(Exception):
    pass


def quiet(done, note):
    pass


def upload(client=0, name="bn_cnn", edge=32, outputs=CLASSES, mean=MEAN, classes=(0, 1, 2, 3)):
    """A classifier whose batch norm has seen images of a few large spots."""
    model = build(name, (3, edge, edge), outputs, client)
    generator = torch.Generator().manual_seed(client)
    spots = torch.rand(16, 3, 4, 4, generator=generator)
    x = nn.functional.interpolate(spots, (edge, edge), mode="bilinear")
    for layer in model.modules():
        if hasattr(layer, "running_var"):
            layer.momentum = 1.0
    with torch.no_grad():
        model.train()(normalised(255 * x.numpy()))
        model.head.weight.mul_(4)  # as sure of itself as a trained one
    return Upload(client, model.eval(), classes, outputs, mean, STD, edge)


def student(seed=9, name="bn_cnn"):
    return build(name, SHAPE, CLASSES, seed)


class Dropping(nn.Module):
    """A student with dropout."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3072, CLASSES)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x):
        features = nn.functional.dropout(x.flatten(1), 0.5, self.training)
        return self.head(features), features


def run(folder, own=(), server=(), uploads=None, model=None, seed=0, identity="one", tell=quiet):
    """Result and student of a run of a second; ``own`` and ``server`` replace some settings."""
    chosen = {
        "epochs": 3,
        "batch_size": 6,
        "noise": 5,
        "width": 3,
        "generator_steps": 3,
        "generator_lr": 0.01,
        "cross_entropy": 1.0,
        "batch_norm": 1.0,
        "boundary": 1.0,
        "temperature": 2.0,
    }
    training = {
        "model": "bn_cnn",
        "trains": "whole",
        "epochs": 1,
        "batch_size": 4,
        "lr": 0.02,
        "momentum": 0.9,
        "weight_decay": 1e-3,
    }
    model = student() if model is None else model
    result = dense(
        Dense.model_validate(chosen | dict(own)),
        Server.model_validate(training | dict(server)),
        [upload(0), upload(1)] if uploads is None else uploads,
        model,
        seed=seed,
        shape=SHAPE,
        device=torch.device("cpu"),
        checkpoint=Checkpoint(folder, identity),
        tell=tell,
    )
    return result, model


def pool(folder, turns):
    """Images uint8 [n, C, H, W] and the ensemble's logits [n, classes] that a run left."""
    batches = [Checkpoint(folder, "one").get(f"dense-turn-{turn}")[0] for turn in range(turns)]
    return [np.concatenate([batch[key] for batch in batches]) for key in ("images", "teachers")]


def normalised(images):
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (MEAN, STD))
    return torch.from_numpy((images.astype(np.float32) / 255 - mean) / std)


def log_softmax(z):
    return z - z.max(1, keepdims=True) - np.log(np.exp(z - z.max(1, keepdims=True)).sum(1))[:, None]


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@budget(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 20))
def test_the_divergences_equal_numpy(seed, temperature):
    generator = np.random.Generator(np.random.PCG64(seed))
    own, teachers = generator.normal(size=(2, 8, CLASSES)) * 3

    def divergences(t):
        p, q = log_softmax(teachers / t), log_softmax(own / t)
        return t**2 * (np.exp(p) * (p - q)).sum(1)

    both = torch.from_numpy(own), torch.from_numpy(teachers)
    np.testing.assert_allclose(
        divergence(*both, temperature), divergences(temperature), rtol=1e-8, atol=1e-10
    )
    counted = divergences(1) * (own.argmax(1) != teachers.argmax(1))
    np.testing.assert_allclose(boundary_loss(*both), -counted.sum() / 8, rtol=1e-8, atol=1e-12)
    assert divergence(both[0], both[0] + 3.0, temperature).abs().max() < 1e-9
    # The same answers, less sure: nothing counts.
    assert boundary_loss(both[1] / 2, both[1]) == 0


@budget(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_statistics_loss_equals_numpy(seed):
    generator = np.random.Generator(np.random.PCG64(seed))
    seen, expected = [], 0.0
    for channels, edge in ((3, 5), (4, 2)):
        layer = BatchNorm(channels)
        layer.running_mean = torch.from_numpy(generator.normal(size=channels))
        layer.running_var = torch.from_numpy(generator.uniform(0.1, 2, channels))
        x = generator.normal(1, 2, (6, channels, edge, edge))
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        expected += np.linalg.norm(mean - layer.running_mean.numpy())
        expected += np.linalg.norm(var - layer.running_var.numpy())
        seen.append((layer, torch.from_numpy(x)))
    np.testing.assert_allclose(statistics_loss(seen), expected, rtol=1e-10)
    layer, x = seen[0]
    layer.running_mean, layer.running_var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    assert statistics_loss(seen[:1]) < 1e-12
    assert statistics_loss([]) == 0


def test_the_ensemble_is_the_mean_of_logits():
    x = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    models = [upload(0).model.eval(), upload(1, "mini_vgg").model.eval()]
    with torch.no_grad():
        expected = np.mean([model(x)[0].numpy() for model in models], 0)
        np.testing.assert_allclose(ensemble(models, x), expected, rtol=1e-5, atol=1e-6)


def test_the_generator_is_the_authors_at_their_sizes_and_drawn_by_name():
    # Linear, batch norm, convolution, batch norm, convolution, batch norm, last convolution.
    for channels, edge, start in ((3, 32, 8), (1, 28, 7)):
        flat = 128 * start**2
        parts = [257 * flat, 2 * 128, 128 * 128 * 9, 2 * 128, 128 * 64 * 9, 2 * 64]
        parts.append(64 * channels * 9 + channels)
        drawn = Generator(256, 64, (channels, edge, edge), 0)
        assert sum(p.numel() for p in drawn.parameters()) == sum(parts)
        assert 0.0199 < drawn.first.weight.std() < 0.0201
    state = torch.random.get_rng_state()
    one, again, other = (Generator(5, 2, SHAPE, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert_same(one, again)
    assert not torch.equal(one["first.weight"], other["first.weight"])


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 33, 33), (3, 64, 64), (3, 224, 224)])
def test_the_generator_draws_images_of_any_edge(shape):
    images = Generator(4, 2, shape, 0)(torch.ones(2, 4) * torch.tensor([[1.0], [-1.0]]))
    assert images.shape == (2, *shape)
    assert images.min() > 0
    assert images.max() < 1
    assert not torch.equal(images[0], images[1])


def test_the_kept_batch_is_that_of_the_least_loss(tmp_path):
    def total(steps, lr):
        own = {"epochs": 1, "generator_steps": steps, "generator_lr": lr}
        result, _ = run(tmp_path / f"{steps}-{lr}", own)
        return sum(result.losses[name][0] for name in WEIGHTS)

    # The first steps of all are the same, so more of them can only give a better batch: with small
    # steps and with wild ones.
    for lr in (0.01, 2.0):
        totals = [total(steps, lr) for steps in (1, 2, 3, 4, 8)]
        assert totals == sorted(totals, reverse=True)
    assert total(30, 0.01) < 0.7 * total(1, 0.01)


def test_each_loss_of_the_generator_does_its_work(tmp_path):
    start, _ = run(tmp_path / "start", {"epochs": 1, "generator_steps": 1})
    found = {}
    for name in WEIGHTS:
        alone = dict.fromkeys(WEIGHTS, 0.0) | {name: 1.0}
        result, _ = run(tmp_path / name, {"epochs": 1, "generator_steps": 25} | alone)
        found[name] = {other: result.losses[other][0] for other in WEIGHTS}
    for name in WEIGHTS:
        assert found[name][name] == min(each[name] for each in found.values())
        assert found[name][name] < start.losses[name][0] - 0.2


def test_noise_is_learned_and_the_pool_is_in_bytes(tmp_path, monkeypatch):
    seen = []

    class Watched(Generator):
        def forward(self, z):
            images = super().forward(z)
            seen.append((z.detach().clone(), images.detach()))
            return images

    monkeypatch.setattr("fedgenbench.systems.fedlmg.dense.Generator", Watched)
    run(tmp_path, {"epochs": 2, "generator_steps": 2})
    noise = [z for z, _ in seen]
    for first, second in (noise[:2], noise[2:]):
        # Adam's first step is its rate, in each number.
        torch.testing.assert_close((second - first).abs(), torch.full_like(first, 0.01))
    assert not torch.equal(noise[0], noise[2])
    for turn, images in enumerate(np.split(pool(tmp_path, 2)[0], 2)):
        drawn = [each.numpy() * 255 for _, each in seen[2 * turn : 2 * turn + 2]]
        assert min(np.abs(each - images).max() for each in drawn) <= 0.5 + 1e-4


def test_classifiers_judge_normalised_crops(tmp_path):
    seen = {"client": [], "student": []}

    def watch(name):
        return lambda module, inputs: seen[name].append((module.training, inputs[0].detach()))

    sent, model = upload(0), student()
    sent.model.register_forward_pre_hook(watch("client"))
    model.register_forward_pre_hook(watch("student"))
    own = {"epochs": 1, "generator_steps": 1, "batch_size": 20}
    run(tmp_path, own, {"batch_size": 20}, uploads=[sent], model=model)
    (_, x), (_, whole) = seen["client"]
    # After a look at the shapes; at last its statistics are made those of its weights.
    (judging, same), (learning, learned), (settling, settled) = seen["student"][-3:]
    assert torch.equal(x, same)
    assert (judging, learning, settling) == (False, True, False)
    # A fresh generator draws greys: what is black comes from beyond the edge.
    greys = x.numpy() * np.array(STD)[:, None, None] + np.array(MEAN)[:, None, None]
    black = np.abs(greys) < 1e-6
    assert ((greys > 0) & (greys < 1) | black).all()
    np.testing.assert_allclose(np.mean(greys, (0, 2, 3), where=~black), 0.5, atol=0.03)
    assert len(set(black.sum((1, 2, 3)).tolist())) > 5
    # The pool's images, by contrast, are whole, in an order of their own.
    torch.testing.assert_close(whole, normalised(pool(tmp_path, 1)[0]))
    torch.testing.assert_close(whole, settled)
    ways = [[torch.equal(one, other) for other in whole] for one in learned]
    assert np.array(ways).sum(0).tolist() == [1] * 20
    assert not np.array(ways).diagonal().all()


def test_the_pool_holds_what_the_ensemble_says_of_its_images(tmp_path):
    uploads, model, passes = [upload(0), upload(1)], student(), []
    model.register_forward_pre_hook(
        lambda module, inputs: passes.append(len(inputs[0]) if module.training else 0)
    )
    result, _ = run(tmp_path, uploads=uploads, model=model)
    assert sum(passes) == 6 + 12 + 18  # one over all turns so far
    images, teachers = pool(tmp_path, 3)
    assert images.dtype == np.uint8
    assert images.shape == (result.generated, *SHAPE) == (18, *SHAPE)
    with torch.no_grad():
        logits = [each.model(normalised(images))[0].numpy() for each in uploads]
    np.testing.assert_allclose(teachers, np.mean(logits, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(result.images, images[-6:].transpose(0, 2, 3, 1))
    assert {name: len(values) for name, values in result.losses.items()} == dict.fromkeys(
        (*WEIGHTS, "distillation"), 3
    )


def test_labels_are_of_classes_that_some_client_holds(tmp_path):
    uploads = [upload(0, classes=(1,)), upload(1, classes=(1, 3))]
    own = {"epochs": 1, "batch_size": 40, "generator_steps": 1}
    result, _ = run(tmp_path, own, uploads=uploads)
    assert set(result.labels.tolist()) == {1, 3}


def test_clients_stay_frozen_to_the_bit(tmp_path):
    uploads = [upload(0), upload(1, "mini_resnet")]
    before = [copy.deepcopy(each.model.state_dict()) for each in uploads]
    run(tmp_path, uploads=uploads)
    for each, state in zip(uploads, before, strict=True):
        assert_same(each.model.state_dict(), state)
        assert not each.model.training
        assert all(p.grad is None for p in each.model.parameters())


def test_the_student_comes_to_agree_with_the_ensemble(tmp_path):
    result, trained = run(tmp_path, {"epochs": 14, "generator_steps": 8})
    images, teachers = pool(tmp_path, 14)
    x = normalised(images)

    def of(model):
        with torch.no_grad():
            logits = model.eval()(x)[0]
        return divergence(logits, torch.from_numpy(teachers)).mean().item(), (
            logits.argmax(1).numpy() == teachers.argmax(1)
        ).mean()

    (far, before), (near, after) = of(student()), of(trained)
    assert near < 0.5 * far
    assert after > before + 0.2
    assert result.losses["distillation"][-1] < 0.5 * result.losses["distillation"][0]
    assert not trained.training
    assert all(p.requires_grad for p in trained.parameters())


def test_distillation_equals_plain_descent_where_that_is_all(tmp_path):
    """One turn, one step: the head moves by the rate times the gradient of the divergence."""
    model = student()
    before = copy.deepcopy(model)
    own = {"epochs": 1, "temperature": 3.0}
    server = {"trains": "head", "batch_size": 6, "lr": 0.1, "momentum": 0.0, "weight_decay": 0.0}
    result, _ = run(tmp_path, own, server, model=model)
    images, teachers = pool(tmp_path, 1)
    with torch.no_grad():
        logits, features = (part.double().numpy() for part in before.eval()(normalised(images)))
    p, q = (np.exp(log_softmax(z / 3)) for z in (teachers.astype(np.float64), logits))
    np.testing.assert_allclose(
        result.losses["distillation"][0], 9 * (p * np.log(p / q)).sum(1).mean(), rtol=1e-4
    )
    moved = model.head.weight.detach().double() - before.head.weight.detach().double()
    expected = -0.1 * 3 * (q - p).T @ features / 6
    np.testing.assert_allclose(moved, expected, rtol=1e-3, atol=1e-6)


def test_the_head_alone_leaves_everything_else(tmp_path):
    model = student()
    before = copy.deepcopy(model.state_dict())
    run(tmp_path, server={"trains": "head"}, model=model)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) != name.startswith("head."), name


def test_any_architectures_go_together(tmp_path):
    names = ["mini_vgg", "mlp", "mini_vit", "mini_mobilenet_v3", "mini_shufflenet"]
    uploads = [upload(number, name) for number, name in enumerate(names)]
    result, _ = run(tmp_path / "all", uploads=uploads, model=student(name="mini_resnet"))
    assert np.isfinite(list(result.losses.values())).all()
    assert min(result.losses["batch_norm"]) > 0
    # Without batch norm nothing is to be matched.
    result, _ = run(tmp_path / "vgg", uploads=uploads[:1])
    assert result.losses["batch_norm"] == [0.0] * 3


def test_batch_norm_layers_of_all_clients_count(tmp_path):
    x = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    models = [upload(0).model.eval(), upload(1, "mini_resnet").model.eval()]
    alone = []
    with torch.no_grad():
        for model in models:
            with batch_norm_inputs(model) as seen:
                model(x)
            alone.append(statistics_loss(seen))
        with batch_norm_inputs(nn.ModuleList(models)) as seen:
            ensemble(models, x)
        assert min(alone) > 0
        torch.testing.assert_close(statistics_loss(seen), sum(alone))


@pytest.mark.parametrize(("make", "momentum"), [(student, 0.9), (student, 0.0), (Dropping, 0.9)])
def test_a_resumed_run_equals_an_unbroken_one(tmp_path, make, momentum):
    server = {"momentum": momentum}
    first = make()
    start = copy.deepcopy(first)
    whole, trained = run(tmp_path / "whole", {"epochs": 4}, server, model=first)

    def kill(done, note):
        if done == 2:
            raise Killed

    broken = copy.deepcopy(start)
    with pytest.raises(Killed):
        run(tmp_path / "broken", {"epochs": 4}, server, model=broken, tell=kill)
    seen = []
    torch.nn.functional.dropout(torch.ones(3))  # whatever was drawn elsewhere
    again, resumed = run(
        tmp_path / "broken",
        {"epochs": 4},
        server,
        model=copy.deepcopy(start),
        tell=lambda done, note: seen.append(done),
    )
    assert seen == [3, 4]
    assert_same(trained.state_dict(), resumed.state_dict())
    assert whole.losses == again.losses
    np.testing.assert_array_equal(whole.images, again.images)
    np.testing.assert_array_equal(whole.labels, again.labels)
    other, _ = run(tmp_path / "other", {"epochs": 4}, server, model=copy.deepcopy(start), seed=1)
    assert not np.array_equal(whole.images, other.images)


def test_a_damaged_turn_is_made_anew(tmp_path):
    whole, trained = run(tmp_path)
    (tmp_path / "dense-turn-1.safetensors").write_bytes(b"half")
    again, resumed = run(tmp_path)
    assert_same(trained.state_dict(), resumed.state_dict())
    assert whole.losses == again.losses
    with pytest.raises(UserError, match="belongs to one, not to two"):
        run(tmp_path, identity="two")


def test_it_leaves_the_global_generator_alone(tmp_path):
    state = torch.random.get_rng_state()
    run(tmp_path, model=student())
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("uploads", "message"),
    [
        (lambda: [], "there is no upload"),
        (lambda: [upload(0), upload(1, edge=28)], r"client 1 takes images of \(3, 28, 28\)"),
        (lambda: [upload(0), upload(2, mean=(0.5, 0.5, 0.5))], "clients 0 and 2 normalise"),
        (lambda: [upload(3, outputs=5, classes=(0,))], "client 3 has 5 classes"),
    ],
)
def test_uploads_that_do_not_fit_are_named(tmp_path, uploads, message):
    with pytest.raises(UserError, match=message):
        run(tmp_path, uploads=uploads())


def test_losses_that_are_not_finite_are_named(tmp_path):
    with pytest.raises(UserError, match="the student's loss is not finite in turn 1; lower"):
        run(tmp_path / "student", {"batch_size": 40}, {"lr": 1e30})
    wild = upload(0)
    with torch.no_grad():
        wild.model.head.bias.fill_(torch.nan)
    with pytest.raises(UserError, match="the generator's loss is not finite in turn 1"):
        run(tmp_path / "generator", uploads=[wild])
