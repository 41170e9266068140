"""The first global model, trained on synthetic images alone."""

import numpy as np
import pytest
import torch

from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import torch_seed
from fedgenbench.federated.synthetic import Synthetic
from fedgenbench.models import build
from fedgenbench.systems.warmfed.warm import warm_start

SETTINGS = {
    "seed": 3,
    "model": "bn_cnn",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "warm_start": {
        "epochs": 15,
        "batch_size": 8,
        "lr": 0.05,
        "momentum": 0.9,
        "weight_decay": 0.0,
    },
}


def coloured(count=48):
    """Images whose class is their colour."""
    labels = np.arange(count) % 3
    draws = np.random.default_rng(1)
    images = draws.integers(0, 100, (count, 8, 8, 3), dtype=np.uint8)
    images[np.arange(count), :, :, labels] += 100
    return Synthetic(images, labels, np.zeros(count, np.int64))


def test_the_warm_start_learns_the_synthetic_images_from_the_shared_initial_weights(tmp_path):
    told = []
    state, losses = warm_start(SETTINGS, coloured(), 3, "cpu", lambda *t: told.append(t))
    assert len(losses) == len(told) == 15
    assert losses[-1] < 0.2 * losses[0]
    model = build("bn_cnn", (3, 8, 8), 3, torch_seed(3, "weights", "bn_cnn"))
    none, _ = warm_start(
        SETTINGS | {"warm_start": SETTINGS["warm_start"] | {"lr": 1e-30, "epochs": 1}},
        coloured(),
        3,
        "cpu",
        lambda *t: None,
    )
    for name, parameter in model.named_parameters():
        assert torch.allclose(none[name], parameter, atol=1e-20)
    again, _ = warm_start(SETTINGS, coloured(), 3, "cpu", lambda *t: None)
    assert all(torch.equal(state[name], again[name]) for name in state)


def test_a_diverged_warm_start_is_named():
    wild = SETTINGS | {"warm_start": SETTINGS["warm_start"] | {"lr": 1e30}}
    with pytest.raises(UserError, match=r"warmfed\.warm_start\.lr"):
        warm_start(wild, coloured(), 3, "cpu", lambda *t: None)
