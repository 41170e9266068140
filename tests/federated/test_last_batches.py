"""A last batch of one image, of which batch norm over one position takes no variance."""

import numpy as np
import pytest
import torch
from tiny import BATCH, CLASSES, TRAIN, TinyNet, assert_close, make_data, make_federation
from torch import nn

from fedgenbench.core.errors import UserError
from fedgenbench.core.settings import SGDSettings
from fedgenbench.federated.data import BatchOrder
from fedgenbench.federated.method import Phase
from fedgenbench.models import build
from fedgenbench.models.layers import BatchNorm, needs_two_images
from fedgenbench.systems.fedlmg.training import fine_tuning, train


class Pointwise(nn.Module):
    """Batch norm over a map of one position, as at the end of a ResNet on small images."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 5, 6, bias=False)
        self.norm = BatchNorm(5)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x, mask=None):
        features = torch.tanh(self.norm(self.conv(x), mask).flatten(1))
        return self.head(features), features


@pytest.mark.parametrize(
    ("name", "edge", "needs"),
    [
        ("resnet18", 32, True),
        ("resnet18", 64, False),
        ("resnet34", 32, True),
        ("mini_resnet", 32, False),
        ("bn_cnn", 32, False),
        ("mlp", 8, False),
    ],
)
def test_it_depends_on_the_size_of_the_images(name, edge, needs):
    model = build(name, (3, edge, edge), 3, 0).train()
    assert needs_two_images(model, (3, edge, edge)) is needs
    assert model.training


def test_a_last_batch_of_one_is_left_out_of_every_epoch():
    data, phase = make_data(), Phase(2, lambda slots, batch: slots)
    assert TRAIN[0] % BATCH == 1
    order, whole = (BatchOrder(data, BATCH, 5, 1, in_twos) for in_twos in (True, False))
    sizes = [[len(batch.y) for batch in each.batches(0, phase)] for each in (order, whole)]
    assert sizes == [[4, 4, 4, 4], [4, 4, 1, 4, 4, 1]]
    assert (order.steps(0, phase), whole.steps(0, phase)) == (4, 6)
    kept = [batch.row.tolist() for batch in order.batches(0, phase)]
    assert kept == [
        rows for batch in whole.batches(0, phase) if len(rows := batch.row.tolist()) > 1
    ]
    for client in (1, 2, 3):
        assert order.steps(client, phase) == whole.steps(client, phase)
    stacked = [(batch.row[0].tolist(), active) for batch, active in order.stacked([0, 3], phase)]
    assert [rows for rows, _ in stacked] == kept
    assert [active is None or active.tolist() for _, active in stacked] == [
        True,
        True,
        [True, False],
        [True, False],
    ]


@pytest.mark.parametrize("method", ["fedavg", "fedprox", "warmfed"])
def test_both_engines_train_alike(method):
    runs = [
        make_federation(method, net=Pointwise, engine=engine, rounds=2)
        for engine in ("sequential", "vmap")
    ]
    for run in runs:
        assert run.in_twos
        run.run()
    assert_close(runs[0].server, runs[1].server)
    assert_close(runs[0].clients, runs[1].clients)


def test_other_models_leave_nothing_out():
    assert not make_federation("fedavg", net=TinyNet).in_twos


@pytest.mark.parametrize("engine", ["sequential", "vmap"])
def test_training_without_a_batch_of_two_is_refused(engine):
    with pytest.raises(UserError, match="client 2 trains on one image, and batch norm"):
        make_federation("fedavg", net=Pointwise, engine=engine, data=make_data(train=[5, 4, 1, 2]))
    with pytest.raises(UserError, match=r"local.batch_size: batches of one image, and batch norm"):
        make_federation("fedavg", net=Pointwise, engine=engine, batch_size=1)


def fitted(model, count, batch_size):
    chosen = {"epochs": 1, "batch_size": batch_size, "lr": 0.1, "momentum": 0.0}
    draws = np.random.default_rng(0).normal(size=(count, 1, 6, 6)).astype(np.float32)
    labels = torch.arange(count) % CLASSES
    return train(
        SGDSettings(**chosen, weight_decay=0.0),
        model,
        torch.from_numpy(draws),
        labels,
        fine_tuning,
        address=(0, "test"),
        who="client 3",
    )


def test_classifiers_of_one_upload_are_trained_alike():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert np.isfinite(fitted(Pointwise(), 5, 4)).all()
        with pytest.raises(UserError, match="client 3 trains on one image"):
            fitted(Pointwise(), 1, 4)
        with pytest.raises(UserError, match="batch_size of client 3: batches of one image"):
            fitted(Pointwise(), 5, 1)
        model = TinyNet()
        before = model.head.weight.clone()
        fitted(model, 5, 1)  # batches of one that its batch norm can take are taken
        assert not torch.equal(model.head.weight, before)
