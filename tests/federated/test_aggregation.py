"""Robust averages against independent NumPy, and what poisoned clients do to them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tiny import PLAIN, Linear, assert_equal, make_data, make_federation, make_method, nudged

from fedgenbench.federated.aggregation import ClippedMean, Median, TrimmedMean, average, trimmed
from fedgenbench.federated.reception import Poisoned, Reception
from fedgenbench.federated.server import stack_slots, weighted_mean

MEDIAN = Median(rule="median")
TRIMMED = TrimmedMean(rule="trimmed_mean", trim=0.2)
CLIPPED = ClippedMean(rule="clipped_mean", bound="median")
RULES = [MEDIAN, TRIMMED, CLIPPED]
numbers = st.floats(-1e3, 1e3, width=32)
uploaded = st.integers(1, 7).flatmap(
    lambda clients: arrays(np.float32, (clients, 4), elements=numbers)
)


def averaged(rule, values, weights=None, before=None):
    weights = np.full(len(values), 1 / len(values)) if weights is None else weights
    before = np.zeros(values.shape[1:], np.float32) if before is None else before
    stacked, start = {"w": torch.from_numpy(values)}, {"w": torch.from_numpy(before)}
    return average(rule, stacked, torch.from_numpy(weights), start, ["w"])["w"].numpy()


@settings(max_examples=50, deadline=None)
@given(uploaded)
def test_the_median_is_numpys(values):
    np.testing.assert_allclose(averaged(MEDIAN, values), np.median(values, 0), rtol=1e-6, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(uploaded, st.floats(0.05, 0.45))
def test_the_trimmed_mean_leaves_out_both_ends(values, trim):
    cut = trimmed(trim, len(values))
    expected = [
        np.mean(sorted(column)[cut : len(column) - cut]) for column in values.T.astype(float)
    ]
    rule = TrimmedMean(rule="trimmed_mean", trim=trim)
    np.testing.assert_allclose(averaged(rule, values), expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(uploaded, arrays(np.float32, 4, elements=numbers), st.floats(0.1, 100), st.booleans())
def test_clipped_updates_are_no_longer_than_the_bound(values, before, bound, to_median):
    weights = np.arange(1.0, len(values) + 1) / sum(range(1, len(values) + 1))
    updates = values.astype(float) - before
    norms = np.linalg.norm(updates, axis=1)
    if to_median:
        bound = np.median(norms)
    scale = np.minimum(1, np.divide(bound, norms, out=np.ones_like(norms), where=norms > 0))
    expected = before + (weights * scale) @ updates
    rule = ClippedMean(rule="clipped_mean", bound="median" if to_median else bound)
    found = averaged(rule, values, weights, before)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_a_bound_beyond_all_updates_is_the_mean():
    values = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    weights = np.array([0.1, 0.2, 0.3, 0.2, 0.2])
    rule = ClippedMean(rule="clipped_mean", bound=1e6)
    mean = weighted_mean({"w": torch.from_numpy(values)}, torch.from_numpy(weights))["w"]
    np.testing.assert_allclose(averaged(rule, values, weights), mean, rtol=1e-6)


@pytest.mark.parametrize(("trim", "clients", "left"), [(0.2, 10, 2), (0.29, 100, 29), (0.1, 9, 0)])
def test_so_many_are_trimmed(trim, clients, left):
    assert trimmed(trim, clients) == left


@pytest.mark.parametrize(
    "rule",
    [MEDIAN, TrimmedMean(rule="trimmed_mean", trim=0.4), CLIPPED],
    ids=lambda rule: rule.rule,
)
@pytest.mark.parametrize("name", ["fedavg", "scaffold", "feddyn", "pfedme", "fedper", "fgl"])
def test_every_averaging_method_takes_every_rule(name, rule):
    """Of equal uploads every average is that upload, and of unequal ones the rule's own."""
    found = {}
    for chosen in (None, rule):
        method = make_method(name, aggregation=chosen)
        start = method.task.initial_state()
        shares = torch.full((3,), 1 / 3, dtype=torch.float64)
        server = method.init_server(start, shares, 1)
        received = method.receive(
            method.init_client(start, torch.ones(3)), method.download(server, 0)
        )
        if name == "scaffold":
            received |= {"change": received["control"]}
        slots = [received | {"model": nudged(start, seed)} for seed in (1, 2, 50)]
        odd = [*slots[:2], slots[2] | {"model": nudged(start, 3, 9.0)}]
        for which, sent in (("equal", [slots[0]] * 3), ("odd", odd)):
            uploads = stack_slots([method.upload(each) for each in sent])
            merged = method.aggregate(server, uploads, shares, [0, 1, 2])["model"]
            found[which, chosen is None] = merged
    for parameter in method.task.head if name != "fedper" else method.task.body:
        torch.testing.assert_close(
            found["equal", True][parameter], found["equal", False][parameter]
        )
        mean, robust = found["odd", True][parameter], found["odd", False][parameter]
        assert not torch.allclose(mean, robust)


# Poisoned clients -------------------------------------------------------------------------------------
CROWD = [6] * 10


def crowd():
    return make_data(train=CROWD, test=[20] * 10)


def accuracy(rule=None, share=0.2, factor=-10.0, engine="sequential"):
    poisoned = Poisoned(share=share, factor=factor)
    reception = Reception("stop", 1e9, poisoned.clients(10, 1), factor)
    options = {"net": Linear, "sgd": PLAIN, "aggregation": rule, "engine": engine}
    options |= {"data": crowd(), "rounds": 8, "reception": reception}
    federation = make_federation("fedavg", **options)
    return float(np.mean(federation.run()[-1]["global"])), federation


@pytest.mark.parametrize("factor", [-10.0, -100.0])
def test_a_fifth_of_poisoned_clients_ruins_the_mean_and_not_the_robust_rules(factor):
    honest, _ = accuracy(share=0.0)
    assert honest > 0.85
    ruined, _ = accuracy(factor=factor)
    assert ruined < 0.5
    for rule in RULES:
        assert accuracy(rule, factor=factor)[0] > honest - 0.1
        assert accuracy(rule, share=0.0)[0] > honest - 0.1


def test_both_engines_are_poisoned_alike():
    (_, one), (_, many) = (accuracy(engine=engine) for engine in ("sequential", "vmap"))
    for name, values in one.server["model"].items():
        torch.testing.assert_close(values, many.server["model"][name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("stacked", [False, True])
def test_a_poisoned_client_sends_its_update_times_the_factor(stacked):
    server = {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor([4])}
    rows = [
        {"model": {"w": torch.tensor([float(k), 0.0]), "n": torch.tensor([k])}} for k in (1, 2, 3)
    ]
    before = stack_slots(rows)
    reception = Reception(clients=frozenset({7}), factor=-2.0)
    sent, good, _ = reception.admit(before if stacked else rows, server, [5, 7, 9])
    assert good == [0, 1, 2]
    assert sent["model"]["w"].tolist() == [[1, 0], [1 - 2 * (2 - 1), 2 - 2 * (0 - 2)], [3, 0]]
    assert sent["model"]["n"].flatten().tolist() == [1, 2, 3]
    assert_equal(before, stack_slots(rows))  # what the clients keep is what they trained


def test_who_is_poisoned_depends_on_the_seed_alone():
    poisoned = Poisoned(share=0.2, factor=-1.0)
    drawn = [poisoned.clients(10, seed) for seed in range(20)]
    assert all(len(clients) == 2 for clients in drawn)
    assert len(set(drawn)) > 5
    assert poisoned.clients(10, 3) == drawn[3]
    assert Poisoned(share=0.0, factor=-1.0).clients(10, 3) == frozenset()
