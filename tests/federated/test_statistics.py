"""What recalibrated and running batch-norm statistics change in the rounds, and what they do not."""

import numpy as np
import pytest
import torch
from tiny import TRAIN, Linear, assert_close, assert_equal, make_federation

from fedgenbench.federated.server import nbytes, row_of


def run(name="fedavg", **options):
    federation = make_federation(name, **options)
    federation.run()
    return federation


@pytest.mark.parametrize("engine", ["sequential", "vmap"])
def test_running_statistics_are_averaged_as_all_tensors_are(engine):
    settled, running = (
        run(statistics=kind, engine=engine, rounds=1) for kind in ("recalibrated", "running")
    )
    weights = np.array(TRAIN) / sum(TRAIN)
    for name, t in running.server["model"].items():
        mean = np.tensordot(weights, running.clients["model"][name].numpy(), 1)
        np.testing.assert_allclose(t, mean, atol=1e-14)
    for name in running.method.task.parameters:  # which training alone decides
        assert torch.equal(settled.server["model"][name], running.server["model"][name])
    size = nbytes({"m": {n: running.server["model"][n] for n in running.method.task.buffers}})
    for way in ("bytes_up", "bytes_down"):
        assert settled.history[0][way] == running.history[0][way] + size


def test_statistics_decide_no_weight_of_methods_that_use_none_in_training():
    left, right = (run(statistics=kind) for kind in ("recalibrated", "running"))
    for name in left.method.task.parameters:
        assert torch.equal(left.server["model"][name], right.server["model"][name])
    assert any(
        not torch.equal(left.server["model"][name], right.server["model"][name])
        for name in left.method.task.buffers
    )


@pytest.mark.parametrize("name", ["fedavg", "ditto", "warmfed", "pfedgpa"])
def test_a_model_without_batch_norm_keeps_every_bit(name):
    left, right = (run(name, statistics=kind, net=Linear) for kind in ("recalibrated", "running"))
    assert left.history == right.history
    assert_equal(left.clients, right.clients)
    assert_equal(left.server, right.server)


def test_the_aggregates_are_pooled_from_what_each_client_could_send():
    federation = run(rounds=1)
    data, model = federation.data, federation.server["model"]
    features = [
        torch.nn.functional.conv2d(data.images(rows), model["conv.weight"]).numpy()
        for rows in data.train
    ]
    n = np.array([each.size / each.shape[1] for each in features])
    means = np.stack([each.mean((0, 2, 3)) for each in features])
    variances = np.stack([each.var((0, 2, 3)) for each in features])
    mean = n @ means / n.sum()
    var = n @ (variances + (means - mean) ** 2) / n.sum()
    np.testing.assert_allclose(model["norm.running_mean"], mean, atol=1e-12)
    np.testing.assert_allclose(model["norm.running_var"], var, atol=1e-12)


def test_a_model_of_a_clients_own_is_scored_with_its_own_statistics():
    federation = run("fedper", rounds=2)
    received, _ = federation._receive(None)
    settled = federation._with_own_statistics(received)
    own = federation.engine.recalibrated(received, federation.data.train)
    assert_equal(settled, own)
    plain = run("fedavg", rounds=2)
    received, _ = plain._receive(None)
    assert_equal(plain._with_own_statistics(received), received)  # the server's model as it came


def test_the_mixture_that_apfl_deploys_has_the_statistics_of_its_weights():
    federation = run("apfl", rounds=2)
    task, data = federation.method.task, federation.data
    for client, rows in enumerate(data.train):
        mixed = federation.method.mixed(row_of(federation.clients, client))
        expected = task.recalibrated(mixed, data.images, rows)
        assert_close({"m": mixed}, {"m": expected})


@pytest.mark.parametrize("engine", ["sequential", "vmap"])
def test_past_models_teach_as_they_are_at_inference(engine):
    federation = run("warmfed", engine=engine)
    adapted = federation._adapted(federation.rounds)
    settled = federation.engine.recalibrated(adapted, federation.data.train)
    assert_close({"m": adapted["model"]}, {"m": settled["model"]})


def test_measuring_phases_leave_the_statistics_alone():
    method = make_federation("fedpac").method
    assert [phase.trains for phase in method.phases()] == [False, True, True, False]
    assert method.task.recalibrates
    assert not make_federation("fedpac", net=Linear).method.task.recalibrates
    assert not make_federation("fedpac", statistics="running").method.task.recalibrates
