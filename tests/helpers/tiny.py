"""A federation small enough for many runs: three classes of noisy 6×6 images, four unequal clients."""

from pathlib import Path

import numpy as np
import torch
import yaml
from torch import nn

from fedgenbench.federated.data import FederatedData
from fedgenbench.federated.method import method_class
from fedgenbench.federated.rounds import Federation
from fedgenbench.federated.task import Task
from fedgenbench.federated.types import SGD
from fedgenbench.models.layers import BatchNorm

CLASSES = 3
BATCH = 4
TRAIN = [
    9,
    4,
    6,
    2,
]  # batches of 4: a last batch of one, none short, one of two, a single short one
TEST = [5, 7, 4, 6]
SYNTHETIC = 7
PARAMS = Path(__file__).parents[2] / "params.yaml"
SETTINGS = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))["methods"]
# What is learnt from thirty uploads of big models in params.yaml is learnt from a few tiny ones here.
SETTINGS["pfedgpa"] |= {
    "warmup": 1,
    "components": 3,
    "denoiser_steps": [5, 3],
    "inversion_steps": 10,
    "reconstruction": 0.0,
}
PLAIN = SGD(lr=0.05)
FULL = SGD(lr=0.05, momentum=0.5, weight_decay=5e-4)


class TinyNet(nn.Module):
    """A convolution, batch norm, a hidden layer, a head."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, bias=False)
        self.norm = BatchNorm(3)
        self.hidden = nn.Linear(12, 5)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x, mask=None):
        x = torch.relu(torch.max_pool2d(self.norm(self.conv(x), mask), 2))
        features = torch.tanh(self.hidden(x.flatten(1)))
        return self.head(features), features


class Linear(nn.Module):
    """Features are the pixels themselves."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(36, CLASSES)

    def forward(self, x, mask=None):
        features = x.flatten(1)
        return self.head(features), features


def make_data(black=None, train=TRAIN, test=TEST):
    draws = np.random.default_rng(7)
    count = sum(train) + sum(test)
    y = draws.integers(0, CLASSES, count)
    x = draws.normal(size=(CLASSES, 6, 6, 1))[y] + draws.normal(size=(count, 6, 6, 1))
    parts = torch.arange(count).split([*train, *test])
    # Drawn from a stream of their own: they move nothing.
    synthetic = np.random.default_rng(8).normal(size=(SYNTHETIC, 6, 6, 1))
    return FederatedData(
        x=torch.from_numpy(np.concatenate([x, synthetic])),
        y=torch.from_numpy(np.concatenate([y, np.arange(SYNTHETIC) % CLASSES])),
        synthetic=torch.arange(count, count + SYNTHETIC),
        train=list(parts[: len(train)]),
        test=list(parts[len(train) :]),
        black=black,
    )


def make_task(net=TinyNet, sgd=FULL, statistics="recalibrated"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Task(net().double(), CLASSES, sgd, statistics)


def make_method(
    name,
    settings=None,
    sgd=FULL,
    net=TinyNet,
    epochs=2,
    statistics="recalibrated",
    aggregation=None,
):
    cls = method_class(name) if isinstance(name, str) else name
    values = SETTINGS.get(name, {}) if isinstance(name, str) else {}
    chosen = cls.Settings.model_validate(values | (settings or {}))
    return cls(make_task(net, sgd, statistics), epochs, chosen, aggregation)


def make_federation(name, settings=None, *, data=None, **options):
    """A federation of the method ``name`` (or class) with the settings of params.yaml; ``options`` are
    its own and those of ``make_method``."""
    options = {"seed": 1, "rounds": 3, "batch_size": BATCH} | options
    keys = options.keys() & {"sgd", "net", "epochs", "statistics", "aggregation"}
    method = make_method(name, settings, **{key: options.pop(key) for key in keys})
    return Federation(method, make_data() if data is None else data, **options)


def one_client(method, moved=True):
    """(slots at the start of a round, a batch) of client 0, its model a little off the start."""
    data = make_data()
    model = method.task.initial_state()
    counts = torch.bincount(data.y[data.train[0]], minlength=CLASSES)
    server = method.init_server(model, torch.full((4,), 0.25, dtype=torch.float64), 1)
    slots = method.receive(method.init_client(model, counts), method.download(server, 0))
    if moved:
        slots["model"] = nudged(slots["model"], 1)
    return slots, (data.images(data.train[0]), data.y[data.train[0]])


def nudged(state, seed, scale=0.1):
    draws = np.random.default_rng(seed)
    return {
        name: t + scale * torch.from_numpy(draws.uniform(0.1, 1, t.shape))
        for name, t in state.items()
    }


def flat(slots):
    return {f"{role}/{name}": t for role, state in slots.items() for name, t in state.items()}


def assert_equal(left, right):
    """Equal slots, bit by bit."""
    left, right = flat(left), flat(right)
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


def assert_close(left, right, tolerance=1e-9):
    left, right = flat(left), flat(right)
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(
            left[name], right[name], atol=tolerance, rtol=tolerance, equal_nan=True, msg=name
        )
