"""The pure functions of one client: optimiser steps, masked losses, batch norm."""

import numpy as np
import pytest
import torch
from tiny import CLASSES, FULL, PLAIN, make_data, make_method, make_task, nudged
from torch import nn

from fedgenbench.federated.task import (
    cross_entropy,
    grad_eager,
    grad_functional,
    masked_mean,
    proximal,
)
from fedgenbench.federated.types import SGD, Batch
from fedgenbench.models.layers import BatchNorm


@pytest.fixture
def batch():
    data = make_data()
    rows = data.train[0]
    return Batch(data.images(rows), data.y[rows])


def objective(task, batch):
    def loss(model):
        out = task.forward(model, batch)
        return cross_entropy(out.logits, batch), out.buffers

    return loss


@pytest.mark.parametrize("sgd", [PLAIN, FULL, SGD(0.02, 0.9, 1e-2), SGD(0.1, 0.0, 1e-2)])
@pytest.mark.parametrize("grad", [grad_eager, grad_functional])
def test_sgd_is_torchs(sgd, grad, batch):
    task = make_task(sgd=sgd)
    task.module.float()
    task.grad = grad
    batch = Batch(batch.x.float(), batch.y)
    slots = {"model": task.initial_state()}
    for _ in range(6):
        slots = task.sgd(slots, "model", objective(task, batch))

    module = make_task(sgd=sgd).module.float().train()
    optimiser = torch.optim.SGD(
        module.parameters(), lr=sgd.lr, momentum=sgd.momentum, weight_decay=sgd.weight_decay
    )
    for _ in range(6):
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(batch.x)[0], batch.y).backward()
        optimiser.step()
    for name, t in module.state_dict().items():
        torch.testing.assert_close(slots["model"][name], t, atol=1e-6, rtol=1e-5, msg=name)


def test_one_optimiser_may_stand_in_for_the_tasks(batch):
    task = make_task(sgd=FULL)
    state = task.initial_state()
    after = task.sgd({"model": state}, "model", objective(task, batch), optimiser=SGD(0.3))
    grads, _ = task.gradient(objective(task, batch), state)
    for name in task.parameters:
        torch.testing.assert_close(after["model"][name], state[name] - 0.3 * grads[name])
    assert set(after) == {"model"}  # no momentum, no slot for it


def test_frozen_tensors_stay_frozen_and_weight_decay_spares_them(batch):
    task = make_task(sgd=SGD(0.05, 0.5, 0.1))
    slots = {"model": task.initial_state()}
    for _ in range(3):
        slots = task.sgd(slots, "model", objective(task, batch), train=task.head)
    for name, t in task.initial_state().items():
        if name in task.body:
            assert torch.equal(slots["model"][name], t), name
        elif name in task.head:
            assert not torch.equal(slots["model"][name], t), name
    assert set(slots["momentum:model"]) == task.head


def test_a_step_changes_no_argument(batch):
    task = make_task()
    state = task.initial_state()
    before = {name: t.clone() for name, t in state.items()}
    task.sgd({"model": state}, "model", objective(task, batch))
    assert all(torch.equal(state[name], t) for name, t in before.items())


def test_names_are_sorted_into_head_body_and_norm():
    task = make_task()
    assert task.head == {"head.weight", "head.bias"}
    assert task.body == {"conv.weight", "norm.weight", "norm.bias", "hidden.weight", "hidden.bias"}
    statistics = {"norm.running_mean", "norm.running_var"}
    assert set(task.buffers) == statistics
    assert task.norm == statistics | {"norm.weight", "norm.bias"}


def test_classify_is_the_last_layer(batch):
    task = make_task()
    model = nudged(task.initial_state(), 1)
    out = task.forward(model, batch, train=False)
    head = {name: model[name] for name in task.head}
    torch.testing.assert_close(task.classify(head, out.features), out.logits)


def test_proximal_is_the_gradient_of_half_the_squared_distance():
    state, anchor = ({"a": torch.randn(4, dtype=torch.float64)} for _ in range(2))
    zero = {"a": torch.zeros(4, dtype=torch.float64)}
    grads, _ = grad_eager(lambda s: (0.35 * (s["a"] - anchor["a"]).square().sum(), None), state)
    torch.testing.assert_close(proximal(zero, state, anchor, 0.7), grads)


def test_padding_counts_in_no_loss():
    draws = np.random.default_rng(0)
    logits, y = draws.normal(size=(5, CLASSES)), draws.integers(0, CLASSES, 5)
    mask = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    logits, y = torch.from_numpy(logits), torch.from_numpy(y)
    padded = cross_entropy(logits, Batch(logits, y, mask))
    torch.testing.assert_close(padded, cross_entropy(logits[:3], Batch(logits[:3], y[:3])))
    assert masked_mean(y.double(), torch.zeros(5)).item() == 0


# Batch norm -----------------------------------------------------------------------------------------
def normalise(layer, x, mask=None):
    """(output, gradients of the input and the affine tensors, running statistics)."""
    x = x.clone().requires_grad_()
    y = layer(x) if mask is None else layer(x, mask)
    weight = torch.arange(y[0].numel(), dtype=y.dtype).view(y[0].shape).sin()
    valid = y if mask is None else y[mask.bool()]
    grads = torch.autograd.grad((valid * weight).sum(), [x, layer.weight, layer.bias])
    return y.detach(), grads, layer.running_mean.detach(), layer.running_var.detach()


def make_layer(cls):
    layer = cls(3).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
        layer.bias.copy_(torch.tensor([-1.0, 0.0, 1.0]))
    return layer


@pytest.fixture
def images():
    return torch.from_numpy(np.random.default_rng(1).normal(2, 3, (5, 3, 4, 4)))


@pytest.mark.parametrize("mask", [None, torch.ones(5, dtype=torch.float64)])
def test_batch_norm_is_torchs(images, mask):
    ours = normalise(make_layer(BatchNorm), images, mask)
    torchs = normalise(make_layer(nn.BatchNorm2d), images)
    torch.testing.assert_close(ours, torchs, atol=1e-12, rtol=1e-10)


def test_batch_norm_in_evaluation_is_torchs(images):
    ours, torchs = make_layer(BatchNorm).eval(), make_layer(nn.BatchNorm2d).eval()
    for layer in (ours, torchs):
        layer.running_mean = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
        layer.running_var = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(ours(images), torchs(images))


def test_padding_counts_in_no_batch_statistic(images):
    mask = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    images[3:] = 1e3
    y, (dx, dweight, dbias), mean, var = normalise(make_layer(BatchNorm), images, mask)
    expected = normalise(make_layer(nn.BatchNorm2d), images[:3])
    actual = (y[:3], (dx[:3], dweight, dbias), mean, var)
    torch.testing.assert_close(actual, expected, atol=1e-12, rtol=1e-10)
    assert dx[3:].abs().max() == 0


def test_running_statistics_are_results_and_never_hidden_state(batch):
    task = make_task()
    state = task.initial_state()
    first, second = task.forward(state, batch), task.forward(state, batch)
    assert torch.equal(first.logits, second.logits)
    assert not torch.equal(first.buffers["norm.running_mean"], state["norm.running_mean"])
    assert torch.equal(task.module.norm.running_mean, torch.zeros(3, dtype=torch.float64))
    frozen = task.forward(state, batch, train=False)
    assert torch.equal(frozen.buffers["norm.running_mean"], state["norm.running_mean"])


def test_a_step_moves_the_running_statistics_into_the_slot(batch):
    method = make_method("fedavg")
    state = method.task.initial_state()
    after = method.step({"model": state}, batch)["model"]
    moved = method.task.forward(state, batch).buffers
    for name in method.task.buffers:
        assert torch.equal(after[name], moved[name])
