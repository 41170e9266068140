"""FedLMG's training: losses against NumPy, who teaches whom, means, what stays frozen."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from fedgenbench.core.answers import shares, unpacked
from fedgenbench.core.errors import UserError
from fedgenbench.models import build
from fedgenbench.models.registry import MODELS
from fedgenbench.systems.fedlmg.generation import first_of_each
from fedgenbench.systems.fedlmg.server import planned
from fedgenbench.systems.fedlmg.settings import Server
from fedgenbench.systems.fedlmg.training import (
    distilled,
    features,
    fine_tuning,
    mean_of,
    of_specific_teacher,
    probabilities,
    right_answers,
    scored,
    train,
)

CLASSES = 4


def server(**changes):
    chosen = {
        "model": "bn_cnn",
        "trains": "whole",
        "epochs": 2,
        "batch_size": 4,
        "lr": 0.05,
        "momentum": 0.9,
        "weight_decay": 0.0,
    }
    return Server.model_validate(chosen | changes)


def model(seed=0, name="bn_cnn"):
    return build(name, (3, 32, 32), CLASSES, seed)


def images(count=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, 32, 32, generator=generator)
    return x, torch.randint(CLASSES, (count,), generator=generator)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def fit(own, x, y, loss=fine_tuning, seed=0, **changes):
    head = changes.pop("head_alone", False)
    return train(
        server(**changes), own, x, y, loss, address=(seed, "test"), who="it", head_alone=head
    )


@budget(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_distillation_equals_numpy(seed, labelled):
    generator = np.random.Generator(np.random.PCG64(seed))
    logits = generator.normal(size=(5, CLASSES))
    teachers = softmax(generator.normal(size=(7, CLASSES)))
    rows, y = generator.integers(0, 7, 5), generator.integers(0, CLASSES, 5)
    log = np.log(softmax(logits))
    expected = -(teachers[rows] * log).sum(1).mean()
    if labelled:
        expected -= log[np.arange(5), y].mean()
    loss = distilled(torch.from_numpy(teachers), labelled)
    found = loss(
        lambda x: (x, None),
        torch.from_numpy(logits),
        torch.from_numpy(y),
        torch.from_numpy(rows),
    )
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_each_image_has_the_teacher_that_guided_it():
    x, _ = images(3)
    clients = [model(seed).eval() for seed in (1, 2)]
    outputs = probabilities(clients, x)
    assert outputs.shape == (2, 3, CLASSES)
    chosen = of_specific_teacher(outputs, torch.tensor([1, 0, 1]))
    with torch.no_grad():
        for row, client in enumerate([1, 0, 1]):
            expected = softmax(clients[client](x[row : row + 1])[0].numpy().astype(np.float64))[0]
            np.testing.assert_allclose(chosen[row], expected, rtol=1e-4)
    # One client: its own outputs are the mean over all, so SD is MD.
    alone = probabilities(clients[:1], x)
    torch.testing.assert_close(
        of_specific_teacher(alone, torch.zeros(3, dtype=torch.long)), alone.mean(0)
    )


def test_training_lowers_the_loss_and_repeats_itself():
    x, y = images()
    own, again = model(), model()
    losses = fit(own, x, y, epochs=15)
    assert losses[-1] < 0.5 * losses[0]
    assert losses == fit(again, x, y, epochs=15)
    assert losses[0] != fit(model(), x, y, seed=1)[0]
    assert not own.training


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_head_sees_the_features_that_a_model_gives(name):
    """By which training of the head alone computes them once."""
    own = build(name, (3, 32, 32), CLASSES, 0).eval()
    x = images(3)[0]
    with torch.no_grad():
        logits, seen = own(x)
        assert torch.equal(features(own, x), seen)
        assert torch.equal(own.head(seen), logits)


def test_the_head_alone_leaves_everything_else():
    x, y = images()
    own = model()
    before = copy.deepcopy(own.state_dict())
    fit(own, x, y, head_alone=True)
    for name, tensor in own.state_dict().items():
        assert torch.equal(tensor, before[name]) != name.startswith("head.")


def test_a_step_of_the_head_alone_equals_numpy():
    x, y = images()
    own = model().eval()
    with torch.no_grad():
        seen = own(x)[1].double().numpy()
    weight, bias = (p.detach().double().numpy() for p in own.head.parameters())
    error = softmax(seen @ weight.T + bias) - np.eye(CLASSES)[y.numpy()]
    fit(own, x, y, head_alone=True, epochs=1, batch_size=len(x), lr=0.1)
    expected = weight - 0.1 * error.T @ seen / len(x), bias - 0.1 * error.mean(0)
    for parameter, wanted in zip(own.head.parameters(), expected, strict=True):
        np.testing.assert_allclose(parameter.detach(), wanted, atol=1e-6)


def test_dropout_draws_by_name_and_leaves_no_trace():
    x, y = images(4)

    class Dropping(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(3072, CLASSES)
            torch.nn.init.zeros_(self.head.weight)

        def forward(self, x):
            return self.head(torch.nn.functional.dropout(x.flatten(1), 0.5, self.training)), None

    one, other = Dropping(), Dropping()
    other.load_state_dict(one.state_dict())
    state = torch.random.get_rng_state()
    losses = fit(one, x, y, lr=1e-3)
    assert torch.equal(state, torch.random.get_rng_state())
    torch.nn.functional.dropout(x)  # whatever was drawn elsewhere
    assert losses == fit(other, x, y, lr=1e-3)


def test_a_loss_that_is_not_finite_is_named():
    x, y = images()
    with pytest.raises(UserError, match="it: the loss is not finite in epoch"):
        fit(model(), x, y, lr=1e30, epochs=4)


def test_the_mean_of_models_equals_numpy():
    models = [model(seed) for seed in range(3)]
    for seed, each in enumerate(models):
        each.norms[0].running_mean = torch.full((16,), float(seed))
    mean = mean_of(models)
    for name, tensor in mean.items():
        stacked = np.stack([each.state_dict()[name].numpy() for each in models])
        np.testing.assert_allclose(tensor, stacked.mean(0, np.float64), rtol=1e-6, atol=1e-7)
    assert (mean["norms.0.running_mean"] == 1).all()


def test_training_ends_with_the_statistics_of_the_weights_unless_running_ones_are_asked_for():
    x, y = images(20)
    settled, running = model(), model()
    fit(settled, x, y, epochs=2)
    fit(running, x, y, epochs=2, statistics="running")
    for name, tensor in settled.named_parameters():
        assert torch.equal(tensor, running.get_parameter(name))
    with torch.no_grad():
        seen, lagging = settled(x)[0], running(x)[0]
        whole = running.train()(x)[0]
    torch.testing.assert_close(seen, whole, rtol=1e-4, atol=1e-5)
    assert (lagging - whole).abs().max() > 0.1


def test_answers_are_those_of_each_set():
    x, _ = images(6)
    own = model().eval()
    with torch.no_grad():
        found = own(x)[0].argmax(1)
    y = found.clone()
    y[4] = (y[4] + 1) % CLASSES
    sets = [torch.tensor([0, 1]), torch.tensor([2, 3, 4, 5])]
    right = right_answers(own, x, y, sets)
    assert [part.tolist() for part in right] == [[True, True], [True, True, False, True]]
    assert shares(right) == [1.0, 0.75]


def test_the_first_images_of_each_client_and_class():
    style, labels = np.array([0, 0, 0, 1, 1, 0]), np.array([2, 2, 2, 2, 2, 1])
    assert first_of_each(labels, style, 1).tolist() == [0, 3, 5]
    assert first_of_each(labels, style, 2).tolist() == [0, 1, 3, 4, 5]


def test_the_plan_names_every_row():
    ways = ["fedlmg_ft", "fedlmg_md", "fedlmg_sd"]
    assert planned(
        {"ways": ways, "sizes": [1], "rivals": ["fgl"], "unseen_domains": False}, True
    ) == [
        *(*ways, "fedlmg_ft@1", "fedlmg_sd@1"),
        *("prompts", "prompts@1", "fgl", "ceiling", "ceiling_head"),
    ]
    assert (
        planned({"ways": ways[:1], "sizes": [], "rivals": [], "unseen_domains": False}, False)
        == ways[:1]
    )


def test_a_score_comes_with_its_answers():
    x, y = images(7)
    said = scored(model().eval(), x, y, [torch.tensor([0, 1, 2]), torch.tensor([3, 5, 6, 4])])
    assert shares(unpacked(said["answers"], [3, 4])) == said["accuracy"]
