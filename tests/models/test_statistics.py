"""Batch-norm statistics of the weights: against NumPy, torch's own, and the limits."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fedgenbench.models import build, statistics
from fedgenbench.models.limits import BATCH_NORM
from fedgenbench.models.statistics import pooled, recalibrate, recalibrated

SMALL = sorted(BATCH_NORM - {"resnet34", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2"})


class TwoLayers(nn.Module):
    """Convolution and batch norm, twice, with a ReLU between them."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3)
        self.second, self.after = nn.Conv2d(3, 4, 2, bias=False), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.after(self.second(torch.relu(self.norm(self.first(x)))))


@pytest.fixture
def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = TwoLayers().double()
        for layer in (model.norm, model.after):
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
    return model


@pytest.fixture
def x():
    return torch.from_numpy(np.random.default_rng(2).normal(1, 2, (7, 2, 6, 6)))


def convolved(x, weight):
    size = weight.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, weight)


@pytest.mark.parametrize("part", [1, 3, 7, 100])
def test_they_are_those_of_all_images_as_one_batch(net, x, part, monkeypatch):
    monkeypatch.setattr(statistics, "PART", part)
    state = {name: t.detach() for name, t in net.state_dict().items()}
    found = recalibrated(net, state, x.__getitem__, torch.arange(7))
    weights = {name: t.numpy() for name, t in state.items()}
    features = convolved(x.numpy(), weights["first.weight"])
    for name, following in (("norm", "second"), ("after", None)):
        mean, var = features.mean((0, 2, 3)), features.var((0, 2, 3))
        np.testing.assert_allclose(found[f"{name}.running_mean"], mean, rtol=1e-12)
        np.testing.assert_allclose(found[f"{name}.running_var"], var, rtol=1e-12)
        if following:
            scale = weights[f"{name}.weight"] / np.sqrt(var + 1e-5)
            shift = weights[f"{name}.bias"] - mean * scale
            features = np.maximum(features * scale[:, None, None] + shift[:, None, None], 0)
            features = convolved(features, weights[f"{following}.weight"])


def test_the_rows_that_count_alone_count(net, x):
    state = net.state_dict()
    some = recalibrated(net, state, x.__getitem__, torch.tensor([4, 1]))
    alone = recalibrated(net, state, x[[4, 1]].__getitem__, torch.arange(2))
    assert all(torch.equal(some[name], alone[name]) for name in state)


def test_nothing_else_moves(net, x):
    net.train()
    before = {name: t.clone() for name, t in net.state_dict().items()}
    state = net.state_dict()
    found = recalibrated(net, state, x.__getitem__, torch.arange(7))
    assert net.training
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    assert list(found) == list(before)
    changed = {name for name, t in found.items() if not torch.equal(t, before[name])}
    assert changed == {
        *("norm.running_mean", "norm.running_var", "after.running_mean", "after.running_var")
    }
    assert not net.norm._forward_pre_hooks


def test_running_averages_of_one_batch_at_momentum_1_are_the_same(net, x):
    """But for the factor n / (n - 1) of torch's variance."""
    for layer in (net.norm, net.after):
        layer.momentum = 1.0
    net.train()(x)
    running = {name: t.clone() for name, t in net.state_dict().items()}
    recalibrate(net, x.__getitem__, len(x))
    for name, count in (("norm", 7 * 4 * 4), ("after", 7 * 3 * 3)):
        layer = getattr(net, name)
        torch.testing.assert_close(layer.running_mean, running[f"{name}.running_mean"])
        unbiased = layer.running_var * count / (count - 1)
        torch.testing.assert_close(unbiased, running[f"{name}.running_var"])


@pytest.mark.parametrize(("name", "part"), [*((name, 4) for name in SMALL), ("bn_cnn", 100)])
def test_every_architecture_gives_at_inference_what_training_on_one_batch_sees(
    name, part, monkeypatch
):
    monkeypatch.setattr(statistics, "PART", part)
    model = build(name, (3, 32, 32), 4, 1).double().eval()
    draws = np.random.default_rng(3).normal(size=(10, 3, 32, 32))
    images = torch.from_numpy(draws)
    recalibrate(model, images.__getitem__, 10)
    with torch.no_grad():
        inferred = model(images)[0]
        for layer in model.modules():
            layer.train(isinstance(layer, statistics.LAYERS))
        torch.testing.assert_close(model(images)[0], inferred, rtol=1e-8, atol=1e-8)


def test_a_model_without_batch_norm_is_no_work():
    model = build("mlp", (1, 8, 8), 3, 0)
    state = model.state_dict()

    def images(rows):
        pytest.fail("an image was asked for")

    assert recalibrated(model, state, images, torch.arange(5)) is state


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=20), st.data())
def test_pooled_moments_are_those_of_all_values(values, data):
    cut = data.draw(st.integers(1, len(values) - 1))
    values = np.array(values)
    parts = [
        (len(part), torch.tensor(part.mean()), torch.tensor(part.var()))
        for part in np.split(values, [cut])
    ]
    count, mean, var = pooled(parts[1], pooled(parts[0], None))
    assert count == len(values)
    np.testing.assert_allclose(mean, values.mean(), atol=1e-10)
    np.testing.assert_allclose(var, values.var(), atol=1e-9)
