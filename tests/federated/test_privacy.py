"""DP-SGD: what a step does to each sample, what noise it adds, which batches it sees, what is spent."""

import numpy as np
import pytest
import torch
from tiny import BATCH, FULL, TRAIN, Linear, assert_close, make_data, make_federation, make_method
from tiny_study import SETTINGS, toy

from fedgenbench.federated.method import Phase
from fedgenbench.federated.poisson import PoissonOrder
from fedgenbench.federated.privacy import Privacy, epsilon, private_gradient
from fedgenbench.federated.run import federate
from fedgenbench.federated.types import Batch

PRIVATE = ["fedavg", "fedprox", "scaffold", "feddyn"]


def privacy(sigma=1.0, bound=1.0):
    return Privacy(noise_multiplier=sigma, max_grad_norm=bound, delta=1e-3)


def method_of(name="fedavg", chosen=None, sgd=FULL):
    method = make_method(name, net=Linear, sgd=sgd)
    method.task.privacy = chosen
    return method


def batch_of(count, noise=0.0, expected=None):
    data = make_data()
    rows = torch.arange(count)
    total = 36 * 3 + 3
    drawn = torch.from_numpy(np.random.default_rng(3).normal(size=total)) * noise
    mean = torch.tensor(float(expected or count), dtype=torch.float64)
    return Batch(data.images(rows), data.y[rows], noise=drawn, expected=mean)


def one_by_one(model, batch):
    """Every sample's gradient of softmax regression in NumPy, weight and bias in a row."""
    x, y = batch.x.flatten(1).numpy(), batch.y.numpy()
    logits = x @ model["head.weight"].numpy().T + model["head.bias"].numpy()
    p = np.exp(logits - logits.max(1, keepdims=True))
    error = p / p.sum(1, keepdims=True) - np.eye(3)[y]
    return np.concatenate([(error[:, :, None] * x[:, None]).reshape(len(x), -1), error], 1)


def in_a_row(grads):
    return torch.cat([grads["head.weight"].flatten(), grads["head.bias"]]).numpy()


def gradient(method, batch):
    model = method.task.initial_state()

    def loss(state, sample):
        return method.loss(state, {}, sample)[0]

    return in_a_row(private_gradient(method.task, loss, model, batch)), one_by_one(model, batch)


@pytest.mark.parametrize("bound", [0.5, 4.0, 1e30])
def test_every_sample_is_clipped_by_itself(bound):
    batch = batch_of(7, expected=4)
    found, each = gradient(method_of(chosen=privacy(bound=bound)), batch)
    norms = np.linalg.norm(each, axis=1)
    assert bound > 5 or (norms > bound).any()
    expected = (each * np.minimum(1, bound / norms)[:, None]).sum(0) / 4
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_one_sample_moves_the_sum_by_no_more_than_the_bound():
    method = method_of(chosen=privacy(bound=0.3))
    whole, less = (gradient(method, batch_of(count, expected=1))[0] for count in (6, 5))
    assert np.linalg.norm(whole - less) <= 0.3 + 1e-12


def test_padding_does_not_count():
    method = method_of(chosen=privacy())
    batch = batch_of(7, expected=4)
    mask = torch.tensor([1.0, 1, 1, 0, 1, 0, 0], dtype=torch.float64)
    kept = Batch(batch.x[mask > 0], batch.y[mask > 0], noise=batch.noise, expected=batch.expected)
    found, _ = gradient(method, batch._replace(mask=mask))
    np.testing.assert_allclose(found, gradient(method, kept)[0], rtol=1e-12)


@pytest.mark.parametrize("name", PRIVATE)
def test_without_noise_and_bound_a_step_is_plain_sgd(name):
    plain, chosen = method_of(name), method_of(name, privacy(bound=1e30))
    model = plain.task.initial_state()
    counts, shares = torch.ones(3), torch.full((4,), 0.25, dtype=torch.float64)
    server = plain.init_server(model, shares, 1)
    slots = plain.receive(plain.init_client(model, counts), plain.download(server, 0))
    for _ in range(3):  # momentum and weight decay too
        expected = plain.sgd_step(slots, batch_of(7)._replace(noise=None, expected=None))
        assert_close(expected, chosen.sgd_step(slots, batch_of(7)), 1e-12)
        slots = expected


@pytest.mark.parametrize(("sigma", "bound", "expected"), [(1.0, 1.0, 4), (2.0, 0.5, 10)])
def test_the_noise_has_the_deviation_that_it_should(sigma, bound, expected):
    method = method_of(chosen=privacy(sigma, bound))
    draws = []
    for round_ in range(1, 60):
        order = PoissonOrder(make_data(), BATCH, 1, round_, method.task.size)
        noise = next(order.batches(0, Phase(1, method.step))).noise
        clean = batch_of(5, expected=expected)
        noisy = gradient(method, clean._replace(noise=noise))[0]
        draws.append(noisy - gradient(method, clean)[0])
    draws = np.concatenate(draws)  # 6,549 numbers: their deviation is known to 0.9 %
    assert draws.std() == pytest.approx(sigma * bound / expected, rel=0.04)
    assert abs(draws.mean()) < 4 * draws.std() / len(draws) ** 0.5
    first, second = draws[:111], draws[111:222]
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.4  # rounds do not share their noise


def test_a_batch_takes_each_sample_with_one_probability():
    data = make_data()
    seen = np.zeros(TRAIN[0])
    sizes = []
    for round_ in range(400):
        order = PoissonOrder(data, BATCH, 1, round_, 2)
        for batch in order.batches(0, Phase(1, None)):
            rows = batch.row if batch.mask is None else batch.row[:0]
            seen[rows.numpy()] += 1
            sizes.append(len(rows))
            assert float(batch.expected) == BATCH
    steps, rate = len(sizes), BATCH / TRAIN[0]
    assert steps == 400 * 3
    np.testing.assert_allclose(seen / steps, rate, atol=5 * (rate * (1 - rate) / steps) ** 0.5)
    # Binomial, as that of samples which do not know of each other.
    assert np.var(sizes) == pytest.approx(TRAIN[0] * rate * (1 - rate), rel=0.2)
    assert min(sizes) == 0


@pytest.mark.parametrize("name", PRIVATE)
@pytest.mark.parametrize(
    "black", [None, torch.zeros(1, dtype=torch.float64)], ids=["", "augmented"]
)
def test_both_engines_agree(name, black):
    played = []
    for engine in ("sequential", "vmap"):
        options = {"net": Linear, "engine": engine, "rounds": 2, "participation": 0.75}
        federation = make_federation(name, data=make_data(black), **options)
        federation.method.task.privacy = privacy(0.5)
        federation.run()
        played.append(federation)
    one, many = played
    assert_close(one.server, many.server, 1e-9)
    assert_close(one.clients, many.clients, 1e-9)


# What is spent --------------------------------------------------------------------------------------
def test_epsilon_is_what_opacus_counts_step_by_step():
    from opacus.accountants import PRVAccountant, RDPAccountant

    chosen = Privacy(noise_multiplier=1.1, max_grad_norm=1.0, delta=1e-5)
    counts = []
    for accountant in (RDPAccountant(), PRVAccountant()):
        for _ in range(120):
            accountant.step(noise_multiplier=1.1, sample_rate=0.05)
        counts.append(accountant.get_epsilon(1e-5))
    rdp, prv = counts
    assert epsilon(chosen, 0.05, 120) == pytest.approx(rdp, rel=1e-9)
    assert 0.8 * rdp < prv < rdp  # the tighter one is not far below


def test_epsilon_of_the_moments_accountants_paper():
    """Abadi et al. 2016, §3.2: q = 0.01, σ = 4, δ = 1e-5, 10,000 steps: 1.26."""
    chosen = Privacy(noise_multiplier=4.0, max_grad_norm=1.0, delta=1e-5)
    assert 0.9 < epsilon(chosen, 0.01, 10_000) < 1.27
    assert epsilon(chosen, 0.01, 0) == 0.0


def test_a_run_says_what_each_client_has_spent():
    dataset, partition = toy()
    values = {"noise_multiplier": 1.5, "max_grad_norm": 1.0, "delta": 1e-2}
    settings = SETTINGS | {"method": "fedavg", "method_settings": {}, "score_rounds": 1}
    settings["local"] = settings["local"] | {"privacy": values}

    def play(changed):
        return federate(
            settings | changed, dataset, partition, "cpu", checkpoint=None, progress=lambda *a: None
        )

    metrics, half = play({}), play({"participation": 0.4})
    n = len(partition.clients[0].train)
    steps = 3 * -(-n // 4)
    assert metrics["epsilon"][0] == pytest.approx(epsilon(Privacy(**values), 4 / n, steps))
    assert metrics["delta"] == 1e-2
    # A client that was in no round has sent nothing, and nobody has spent more than in all rounds.
    assert min(half["epsilon"]) < max(half["epsilon"]) <= max(metrics["epsilon"])
    plain = play({"local": SETTINGS["local"]})
    assert "epsilon" not in plain
