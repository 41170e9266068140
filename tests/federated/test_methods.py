"""What makes each method that method: its formula by hand, its limits, what stays where."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from tiny import (
    BATCH,
    CLASSES,
    PLAIN,
    TRAIN,
    Linear,
    assert_close,
    assert_equal,
    make_data,
    make_federation,
    make_method,
    nudged,
    one_client,
)

from fedgenbench.core.answers import shares
from fedgenbench.federated.data import BatchOrder
from fedgenbench.federated.methods.fedpac import collaboration
from fedgenbench.federated.methods.per_fedavg import halves
from fedgenbench.federated.types import Batch

SHARES = np.array(TRAIN) / sum(TRAIN)


def run(name, settings=None, **options):
    federation = make_federation(name, settings, **options)
    federation.run()
    return federation


def gradient(method, state, x, y):
    """The plain gradient of cross-entropy by eager autograd."""
    leaves = {n: state[n].detach().clone().requires_grad_() for n in method.task.parameters}
    out = method.task.forward(state | leaves, Batch(x, y))
    value = torch.nn.functional.cross_entropy(out.logits, y)
    return dict(zip(leaves, torch.autograd.grad(value, list(leaves.values())), strict=True))


def assert_state(actual, expected):
    for name, t in expected.items():
        torch.testing.assert_close(actual[name], t, atol=1e-12, rtol=1e-10, msg=name)


def differ(stacked):
    return not torch.equal(stacked[0], stacked[1])


# Controls ------------------------------------------------------------------------------------------
def test_centralised_is_one_client_with_all_the_data():
    central = run("centralised", rounds=2)
    alone = run("fedavg", rounds=2, data=make_data(train=[sum(TRAIN)], test=[22]))
    assert_equal(central.server, alone.server)
    assert_equal({"model": central.server["model"]}, {"model": row(central.clients["model"], 0)})
    assert central.history[-1]["global"] == central.history[-1]["trained"]


def row(stacked, index):
    return {name: t[index] for name, t in stacked.items()}


def test_local_training_leaves_the_server_as_it_was():
    federation = run("local")
    assert_equal(
        {"model": federation.server["model"]}, {"model": federation.method.task.initial_state()}
    )
    assert "global" not in federation.history[-1]


# One global model ------------------------------------------------------------------------------------
def test_fedavg_ft_has_the_global_trajectory_of_fedavg():
    tuned, plain = run("fedavg_ft"), run("fedavg")
    assert_equal(tuned.server, plain.server)
    assert_equal(tuned.clients, plain.clients)
    for a, b in zip(tuned.history, plain.history, strict=True):
        assert a["global"] == b["global"]


def after_adaptation(federation, server, round_):
    """Accuracies of what each client makes of the model that ``server`` gave out."""
    method, data, found = federation.method, federation.data, []
    order = BatchOrder(data, BATCH, federation.seed, round_)
    for client, rows in enumerate(data.train):
        slots = {"model": server["model"], "start": server["model"]}
        for phase in method.adapt():
            for batch in order.batches(client, phase):
                slots = phase.step(slots, batch)
        model = method.task.recalibrated(slots["model"], data.images, rows)
        test = data.test[client]
        hits = method.task.logits(model, data.images(test)).argmax(1) == data.y[test]
        found.append(hits.double().mean().item())
    return found


@pytest.mark.parametrize("name", ["fedavg_ft", "per_fedavg"])
def test_after_so_many_rounds_deployed_models_have_so_many_local_trainings(name):
    """What the last round began with, adapted in place of that round's local training."""
    before, after = run(name, rounds=1), run(name, rounds=2)
    expected = after_adaptation(after, before.server, 2)
    assert after.history[-1]["personal"] == expected
    assert run(name, rounds=2, engine="vmap").history[-1]["personal"] == expected


def test_fedbabu_adapts_what_the_round_began_with():
    federation = run("fedbabu", rounds=1)
    start = {"model": federation.method.task.initial_state()}
    assert federation.history[-1]["personal"] == after_adaptation(federation, start, 1)


@pytest.mark.parametrize("name", ["fedprox", "moon"])
def test_without_its_term_it_is_fedavg(name):
    changed, plain = run(name, {"mu": 0.0}), run("fedavg")
    assert_equal(changed.server, plain.server)
    assert_equal(changed.clients, plain.clients)


def test_fedprox_adds_the_proximal_gradient():
    method = make_method("fedprox", {"mu": 0.3}, sgd=PLAIN)
    slots, (x, y) = one_client(method)
    w, start, g = slots["model"], slots["start"], gradient(method, slots["model"], x, y)
    expected = {n: w[n] - 0.05 * (g[n] + 0.3 * (w[n] - start[n])) for n in g}
    assert_state(method.step(slots, Batch(x, y))["model"], expected)


def test_scaffold_corrects_the_gradient():
    method = make_method("scaffold", sgd=PLAIN)
    slots, (x, y) = one_client(method)
    slots["control"], slots["server_control"] = (nudged(slots["control"], s) for s in (2, 3))
    g = gradient(method, slots["model"], x, y)
    expected = {
        n: slots["model"][n] - 0.05 * (g[n] - slots["control"][n] + slots["server_control"][n])
        for n in g
    }
    assert_state(method.step(slots, Batch(x, y))["model"], expected)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_scaffolds_new_control_is_the_mean_gradient_along_the_path(momentum):
    method = make_method("scaffold", sgd=PLAIN._replace(momentum=momentum))
    slots, (x, y) = one_client(method, moved=False)
    slots["control"], slots["server_control"] = (nudged(slots["control"], s) for s in (2, 3))
    steps, path = 6, []
    for _ in range(steps):
        path.append(gradient(method, slots["model"], x, y))
        slots = method.step(slots, Batch(x, y))
    # how far momentum carries each gradient, first to last: 1 + β + β² + … once per later step
    carried = [sum(momentum**j for j in range(steps - k)) for k in range(steps)]
    done = method.finish(slots, torch.tensor(float(steps), dtype=torch.float64))
    for n in path[0]:
        mean = sum(c * g[n] for c, g in zip(carried, path, strict=True)) / sum(carried)
        torch.testing.assert_close(done["control"][n], mean, atol=1e-10, rtol=1e-9)
        change = done["control"][n] - slots["control"][n]
        torch.testing.assert_close(done["change"][n], change, atol=1e-10, rtol=1e-9)


UNIFORM = np.full(len(SHARES), 1 / len(SHARES))
by_weighting = pytest.mark.parametrize(
    ("weighting", "shares"), [("samples", SHARES), ("uniform", UNIFORM)]
)


@by_weighting
@pytest.mark.parametrize("participation", [1.0, 0.5])
def test_scaffolds_server_control_is_the_mean_of_all_clients(participation, weighting, shares):
    federation = run("scaffold", {"weighting": weighting}, participation=participation)
    for name, common in federation.server["control"].items():
        own = federation.clients["control"][name].numpy()
        np.testing.assert_allclose(common, np.tensordot(shares, own, 1), atol=1e-12)
        assert common.abs().max() > 0


def test_feddyns_local_gradient():
    method = make_method("feddyn", {"alpha": 0.2}, sgd=PLAIN)
    slots, (x, y) = one_client(method)
    slots["memory"] = nudged(slots["memory"], 2)
    w, g = slots["model"], gradient(method, slots["model"], x, y)
    expected = {
        n: w[n] - 0.05 * (g[n] - slots["memory"][n] + 0.2 * (w[n] - slots["start"][n])) for n in g
    }
    assert_state(method.step(slots, Batch(x, y))["model"], expected)


@by_weighting
@pytest.mark.parametrize("participation", [1.0, 0.5])
def test_feddyns_server_state_is_the_mean_of_all_clients(participation, weighting, shares):
    settings = {"alpha": 0.2, "weighting": weighting}
    federation = run("feddyn", settings, participation=participation)
    for name, h in federation.server["h"].items():
        memory = federation.clients["memory"][name].numpy()
        np.testing.assert_allclose(h, np.tensordot(shares, memory, 1), atol=1e-12)


@by_weighting
def test_feddyns_model_is_the_mean_less_h_over_alpha(weighting, shares):
    federation = run("feddyn", {"alpha": 0.2, "weighting": weighting}, rounds=1)
    start = federation.method.task.initial_state()
    for name in federation.method.task.parameters:
        trained = federation.clients["model"][name].numpy()
        mean = np.tensordot(shares, trained, 1)
        # after one round h = −α (mean − start), so the server goes twice as far as FedAvg
        expected = 2 * mean - start[name].numpy()
        np.testing.assert_allclose(federation.server["model"][name], expected, atol=1e-12)


def test_moons_loss():
    method = make_method("moon", {"mu": 2.0, "temperature": 0.5})
    slots, (x, y) = one_client(method)
    slots["previous"] = nudged(slots["start"], 5, scale=1)
    loss, _ = method.loss(slots["model"], slots, Batch(x, y))
    out = method.task.forward(slots["model"], Batch(x, y))
    z = out.features.numpy()
    references = [
        method.task.forward(slots[role], Batch(x, y), train=False).features.numpy()
        for role in ("start", "previous")
    ]

    def cosine(a, b):
        return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)

    a, b = (np.exp(cosine(z, reference) / 0.5) for reference in references)
    entropy = -log_softmax(out.logits.numpy(), 1)[np.arange(len(y)), y].mean()
    assert loss.item() == pytest.approx(entropy + 2.0 * np.mean(-np.log(a / (a + b))), abs=1e-12)


def test_moons_previous_model_is_the_one_trained_last():
    federation = run("moon", rounds=1)
    received, _ = federation._receive(None)
    assert_equal({"m": received["previous"]}, {"m": federation.clients["model"]})
    assert not differ(received["model"]["conv.weight"])


# Parts that stay at home ------------------------------------------------------------------------------
LOCAL_PARTS = {
    "fedbn": lambda name: name.startswith("norm."),
    "fedper": lambda name: name.startswith("head."),
    "fedrep": lambda name: name.startswith("head."),
    "lg_fedavg": lambda name: not name.startswith("head."),
}


@pytest.mark.parametrize("name", LOCAL_PARTS)
def test_local_parts_never_travel_and_differ_between_clients(name):
    federation = run(name)
    initial = federation.method.task.initial_state()
    received, _ = federation._receive(None)
    for tensor, local in ((n, LOCAL_PARTS[name](n)) for n in initial):
        assert differ(received["model"][tensor]) is local, tensor
        assert torch.equal(federation.server["model"][tensor], initial[tensor]) is local, tensor
        if local:
            assert torch.equal(received["model"][tensor], federation.clients["model"][tensor])
    assert "global" not in federation.history[-1]


@pytest.mark.parametrize(("phase", "moving"), [(0, "head."), (1, "body")])
def test_fedrep_trains_the_head_then_the_body(phase, moving):
    method = make_method("fedrep", {"body_epochs": 1}, epochs=5)
    slots, (x, y) = one_client(method)
    phases = method.phases()
    assert [p.epochs for p in phases] == [5, 1]
    after = phases[phase].step(slots, Batch(x, y))["model"]
    for name in method.task.parameters:
        moves = name.startswith("head.") is (moving == "head.")
        assert torch.equal(after[name], slots["model"][name]) is not moves, name


def test_fedbabus_head_keeps_its_initial_value_until_fine_tuning():
    federation = run("fedbabu")
    initial = federation.method.task.initial_state()
    for name in ("head.weight", "head.bias"):
        for holder in (federation.clients["model"][name], federation.server["model"][name][None]):
            assert all(torch.equal(t, initial[name]) for t in holder)
    assert differ(federation.clients["model"]["hidden.weight"])
    slots, (x, y) = one_client(federation.method)
    (phase,) = federation.method.adapt()
    tuned = phase.step(slots, Batch(x, y))["model"]
    assert all(
        not torch.equal(tuned[n], slots["model"][n]) for n in federation.method.task.parameters
    )


# A personal model beside the global one ----------------------------------------------------------------
def test_ditto_without_its_pull_is_local_training_beside_fedavg():
    ditto, local, plain = run("ditto", {"lam": 0.0}), run("local"), run("fedavg")
    assert_equal({"m": ditto.clients["personal"]}, {"m": local.clients["model"]})
    assert_equal(ditto.server, plain.server)
    for a, b, c in zip(ditto.history, local.history, plain.history, strict=True):
        assert a["personal"] == b["personal"]
        assert a["global"] == c["global"]


def test_ditto_pulls_the_personal_model_towards_the_received_one():
    method = make_method("ditto", {"lam": 0.7}, sgd=PLAIN)
    slots, (x, y) = one_client(method)
    slots["personal"] = nudged(slots["start"], 4)
    v, g = slots["personal"], gradient(method, slots["personal"], x, y)
    expected = {n: v[n] - 0.05 * (g[n] + 0.7 * (v[n] - slots["start"][n])) for n in g}
    assert_state(method.step(slots, Batch(x, y))["personal"], expected)


def test_pfedmes_step():
    values = {"lr": 0.01, "personal_lr": 0.03, "lam": 2.0, "steps": 3, "beta": 1.0}
    method = make_method("pfedme", values)
    slots, (x, y) = one_client(method)
    w = slots["model"]
    theta = slots["personal"]
    for _ in range(3):
        g = gradient(method, theta, x, y)
        theta = theta | {n: theta[n] - 0.03 * (g[n] + 2.0 * (theta[n] - w[n])) for n in g}
    after = method.step(slots, Batch(x, y))
    assert_state(after["personal"], {n: theta[n] for n in method.task.parameters})
    expected = {n: w[n] - 0.01 * 2.0 * (w[n] - theta[n]) for n in method.task.parameters}
    assert_state(after["model"], expected)
    assert_equal(
        {"b": {n: after["model"][n] for n in method.task.buffers}},
        {"b": {n: after["personal"][n] for n in method.task.buffers}},
    )


def test_pfedmes_server_mixes_by_beta():
    method = make_method("pfedme", {"beta": 0.25})
    old = {"a": torch.zeros(2, dtype=torch.float64)}
    uploads = {"model": {"a": torch.tensor([[1.0, 2.0], [3.0, 6.0]], dtype=torch.float64)}}
    new = method.aggregate({"model": old}, uploads, torch.tensor([0.75, 0.25]), [0, 1])
    assert new["model"]["a"].tolist() == [0.5, 1.0]
    by_samples = make_method("pfedme", {"beta": 0.25, "weighting": "samples"})
    new = by_samples.aggregate({"model": old}, uploads, torch.tensor([0.75, 0.25]), [0, 1])
    assert new["model"]["a"].tolist() == [0.375, 0.75]


@by_weighting
def test_scaffolds_model_is_the_mean_of_the_clients(weighting, shares):
    federation = run("scaffold", {"weighting": weighting}, rounds=1)
    for name in federation.method.task.parameters:
        trained = federation.clients["model"][name].numpy()
        mean = np.tensordot(shares, trained, 1)
        np.testing.assert_allclose(federation.server["model"][name], mean, atol=1e-12)


def test_per_fedavgs_first_order_gradient():
    method = make_method("per_fedavg", {"alpha": 0.1, "beta": 0.02}, sgd=PLAIN, net=Linear)
    slots, (x, y) = one_client(method)
    w = slots["model"]
    g = gradient(method, w, x[0::2], y[0::2])
    adapted = w | {n: w[n] - 0.1 * g[n] for n in g}
    meta = gradient(method, adapted, x[1::2], y[1::2])
    after = method.step(slots, Batch(x, y))
    assert_state(after["model"], {n: w[n] - 0.02 * meta[n] for n in meta})
    (phase,) = method.adapt()
    whole = gradient(method, w, x, y)
    assert phase.epochs == 1
    assert_state(phase.step(slots, Batch(x, y))["model"], {n: w[n] - 0.1 * whole[n] for n in whole})


def test_per_fedavg_stays_put_on_a_single_sample_as_nothing_is_left_to_test_the_step():
    method = make_method("per_fedavg", sgd=PLAIN)
    slots, (x, y) = one_client(method)
    _, query = halves(Batch(x[:1], y[:1]))
    assert len(query.x) == 0
    after = method.step(slots, Batch(x[:1], y[:1]))
    assert_state(after["model"], {n: slots["model"][n] for n in method.task.parameters})


def test_apfls_mixture_and_its_weight():
    method = make_method("apfl", {"alpha": 0.4}, sgd=PLAIN)
    slots, (x, y) = one_client(method)
    slots["personal"] = nudged(slots["model"], 6)
    w, v, parameters = slots["model"], slots["personal"], method.task.parameters
    mixed = v | {n: 0.4 * v[n] + 0.6 * w[n] for n in parameters}
    g, own = gradient(method, mixed, x, y), gradient(method, w, x, y)
    slope = sum((g[n] * (v[n] - w[n])).sum() for n in parameters)
    after = method.step(slots, Batch(x, y))
    assert_state(after["model"], {n: w[n] - 0.05 * own[n] for n in parameters})
    assert_state(after["personal"], {n: v[n] - 0.05 * 0.4 * g[n] for n in parameters})
    assert after["mixture"]["alpha"].item() == pytest.approx(0.4 - 0.05 * slope.item(), abs=1e-12)
    torch.testing.assert_close(method.predict(slots, x), method.task.logits(mixed, x))


def test_apfls_weight_stays_in_the_unit_interval():
    method = make_method("apfl", {"alpha": 0.99}, sgd=PLAIN._replace(lr=1e4))
    slots, (x, y) = one_client(method)
    for seed in range(4):
        slots["personal"] = nudged(slots["model"], seed)
        assert 0 <= method.step(slots, Batch(x, y))["mixture"]["alpha"].item() <= 1


# Two heads ------------------------------------------------------------------------------------------
def test_fedrods_heads_learn_the_balanced_and_the_empirical_loss():
    method = make_method("fedrod", {"gamma": 0.5}, sgd=PLAIN, net=Linear)
    slots, (x, y) = one_client(method)
    slots["personal"] = nudged(slots["personal"], 8)
    labels = make_data().y[make_data().train[0]].numpy()
    prior = np.bincount(labels, minlength=CLASSES) / len(labels)
    features, target = x.flatten(1).numpy(), np.eye(CLASSES)[y]
    w = {n: t.numpy() for n, t in slots["model"].items()}
    v = {n: t.numpy() for n, t in slots["personal"].items()}
    generic = features @ w["head.weight"].T + w["head.bias"]
    own = features @ v["head.weight"].T + v["head.bias"]
    balanced = softmax(generic + 0.5 * np.log(prior), 1) - target
    empirical = softmax(generic + own, 1) - target
    after = method.step(slots, Batch(x, y))
    for role, old, error in (("model", w, balanced), ("personal", v, empirical)):
        expected = {
            "head.weight": old["head.weight"] - 0.05 * error.T @ features / len(y),
            "head.bias": old["head.bias"] - 0.05 * error.mean(0),
        }
        assert_state(after[role], {n: torch.from_numpy(t) for n, t in expected.items()})
    torch.testing.assert_close(method.predict(slots, x), torch.from_numpy(generic + own))


def test_fedrods_personal_head_leaves_the_body_alone():
    method = make_method("fedrod")
    slots, (x, y) = one_client(method)
    other = slots | {"personal": nudged(slots["personal"], 9)}
    left, right = (method.step(s, Batch(x, y)) for s in (slots, other))
    assert_equal({"m": left["model"]}, {"m": right["model"]})


def test_fedrod_ignores_classes_that_a_client_lacks():
    method = make_method("fedrod", {"gamma": 1.0})
    client = method.init_client(method.task.initial_state(), torch.tensor([3, 0, 1]))
    assert client["prior"]["log"].exp().tolist() == pytest.approx([0.75, 0, 0.25])


# Learned aggregation and distillation -------------------------------------------------------------------
def test_fedalas_first_round_is_a_plain_download():
    method = make_method("fedala")
    slots, (x, y) = one_client(method, moved=False)
    after = method.phases()[0].step(slots, Batch(x, y))
    assert_equal({"m": after["model"]}, {"m": slots["start"]})
    assert_equal(run("fedala", rounds=1).server, run("fedavg", rounds=1).server)


def test_fedala_learns_its_weights_from_a_share_of_the_batch_and_clips_them():
    method = make_method("fedala", {"eta": 5.0, "share": 0.8, "tensors": 2}, net=Linear)
    slots, (x, y) = one_client(method, moved=False)
    old, received = nudged(slots["start"], 1), slots["start"]
    slots["old"] = old
    slots["mixing"] = {n: torch.full_like(t, 0.5) for n, t in slots["mixing"].items()}
    gap = {n: received[n] - old[n] for n in received}
    part = 8  # ranks below 0.8 of nine samples
    g = gradient(method, {n: old[n] + 0.5 * gap[n] for n in old}, x[:part], y[:part])
    after = method.mix(slots, Batch(x, y))
    expected = {n: (0.5 - 5.0 * g[n] * gap[n]).clamp(0, 1) for n in gap}
    assert_state(after["mixing"], expected)
    assert_state(after["model"], {n: old[n] + expected[n] * gap[n] for n in gap})


def test_fedalas_weights_stay_in_the_unit_interval_and_the_lower_layers_are_received():
    federation = run("fedala", {"eta": 50.0})
    mixing = federation.clients["mixing"]
    assert set(mixing) == {"head.weight", "head.bias"}
    assert all(t.min() >= 0 and t.max() <= 1 for t in mixing.values())
    assert any((t < 1).any() for t in mixing.values())
    slots, (x, y) = one_client(federation.method)
    after = federation.method.mix(slots | {"old": nudged(slots["start"], 2)}, Batch(x, y))
    assert torch.equal(after["model"]["conv.weight"], slots["start"]["conv.weight"])


def test_pfedsd_without_distillation_and_in_its_first_round_is_fedavg():
    assert_equal(run("pfedsd", {"lam": 0.0}).server, run("fedavg").server)
    assert_equal(run("pfedsd", rounds=1).server, run("fedavg", rounds=1).server)
    second = run("pfedsd", rounds=2).server["model"]["head.weight"]
    assert not torch.equal(second, run("fedavg", rounds=2).server["model"]["head.weight"])


def test_pfedsds_loss():
    method = make_method("pfedsd", {"lam": 0.6, "temperature": 2.0})
    slots, (x, y) = one_client(method)
    slots = method.finish(slots, torch.tensor(3.0))  # it has trained once: there is a teacher
    slots["teacher"] = nudged(slots["start"], 3)
    loss, _ = method.loss(slots["model"], slots, Batch(x, y))
    student = method.task.forward(slots["model"], Batch(x, y)).logits.numpy()
    teacher = method.task.logits(slots["teacher"], x).numpy()
    q, p = log_softmax(student / 2, 1), log_softmax(teacher / 2, 1)
    entropy = -log_softmax(student, 1)[np.arange(len(y)), y].mean()
    divergence = (np.exp(p) * (p - q)).sum(1).mean()
    assert loss.item() == pytest.approx(entropy + 0.6 * 4 * divergence, abs=1e-12)


def test_pfedsds_teacher_is_the_model_trained_last():
    federation = run("pfedsd", rounds=1)
    received, _ = federation._receive(None)
    assert_equal({"m": received["teacher"]}, {"m": federation.clients["model"]})


# FedPAC ---------------------------------------------------------------------------------------------
def objective(alpha, i, v, h):
    return (alpha**2 * v).sum() + ((h[i] - np.tensordot(alpha, h, 1)) ** 2).sum()


@pytest.mark.parametrize("seed", range(4))
def test_fedpacs_weights_minimise_the_programme(seed):
    draws = np.random.default_rng(seed)
    v, h = draws.uniform(0.01, 1, 5), draws.normal(size=(5, 3, 2)) * draws.uniform(0.1, 1)
    weights = collaboration(torch.from_numpy(v), torch.from_numpy(h), cutoff=0.0)
    np.testing.assert_allclose(weights.sum(1), 1)
    assert weights.min() >= 0
    for i, alpha in enumerate(weights):
        reference = minimize(
            objective,
            np.full(5, 0.2),
            args=(i, v, h),
            bounds=[(0, 1)] * 5,
            constraints={"type": "eq", "fun": lambda a: a.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert objective(alpha, i, v, h) <= reference.fun + 1e-9
        np.testing.assert_allclose(alpha, reference.x, atol=1e-4)


def test_fedpac_mixes_equal_clients_and_leaves_distant_ones_out():
    h = torch.zeros(3, 2, 2, dtype=torch.float64)
    h[2] = 100
    v = torch.tensor([0.1, 0.1, 0.1], dtype=torch.float64)
    expected = [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]
    np.testing.assert_allclose(collaboration(v, h, cutoff=1e-3), expected, atol=1e-6)


def test_fedpac_drops_small_weights():
    # alone, weights would go as 1/v: 1000/1001 and 1/1001
    v, h = torch.tensor([1.0, 1000.0]), torch.zeros(2, 2, 2)
    np.testing.assert_allclose(collaboration(v, h, 0.0)[0], [1000 / 1001, 1 / 1001], atol=1e-6)
    np.testing.assert_allclose(collaboration(v, h, 1e-3)[0], [1, 0], atol=0)
    equal = collaboration(torch.ones(4), torch.zeros(4, 2, 2), 0.9)
    assert np.isfinite(equal).all()  # however large the cutoff, the largest stays


def test_fedpac_survives_features_that_are_all_zero():
    weights = collaboration(torch.zeros(3), torch.zeros(3, 2, 2), cutoff=1e-3)
    np.testing.assert_allclose(weights, np.full((3, 3), 1 / 3), atol=1e-9)


@pytest.mark.parametrize("engine", ["sequential", "vmap"])
def test_fedpacs_centroids_and_statistics_count_every_sample_once(engine):
    federation = make_federation("fedpac", rounds=1, engine=engine)
    method, data = federation.method, federation.data
    seen = {}
    aggregate = method.aggregate
    method.aggregate = lambda server, uploads, *rest: (
        seen.update(uploads) or aggregate(server, uploads, *rest)
    )
    federation.run()
    total, count = np.zeros((CLASSES, 5)), np.zeros(CLASSES)
    for client, rows in enumerate(data.train):
        x, y = data.images(rows), data.y[rows].numpy()
        for moment, model in (
            ("before", method.task.initial_state()),
            ("after", row(federation.clients["model"], client)),
        ):
            f = method.task.forward(model, Batch(x), train=False).features.numpy()
            if moment == "after":
                np.add.at(total, y, f)
                np.add.at(count, y, 1)
                continue
            prior = np.bincount(y, minlength=CLASSES) / len(y)
            means = np.stack([f[y == k].mean(0) if (y == k).any() else 0 * f[0] for k in range(3)])
            h = prior[:, None] * means
            squares = [(f[y == k] ** 2).sum(1).mean() if (y == k).any() else 0 for k in range(3)]
            v = (prior @ squares - (prior**2 * (means**2).sum(1)).sum()) / len(y)
            np.testing.assert_allclose(seen["statistics"]["h"][client], h, atol=1e-6)
            assert seen["statistics"]["v"][client].item() == pytest.approx(v, abs=1e-6)
    np.testing.assert_allclose(
        federation.server["centroids"]["mean"], total / count[:, None], atol=1e-6
    )


def test_fedpac_aligns_features_to_known_centroids_only():
    method = make_method("fedpac", {"alignment": 0.5}, sgd=PLAIN)
    slots, (x, y) = one_client(method)
    plain = method.sgd_step(slots, Batch(x, y), train=method.task.body)
    assert_equal({"m": method.align(slots, Batch(x, y))["model"]}, {"m": plain["model"]})
    centroids = torch.arange(15, dtype=torch.float64).view(3, 5) / 10
    known = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    slots["centroids"] = {"mean": centroids, "known": known}
    leaves = {n: slots["model"][n].clone().requires_grad_() for n in method.task.parameters}
    out = method.task.forward(slots["model"] | leaves, Batch(x, y))
    distance = ((out.features - centroids[y]) ** 2).mean(1) * known[y]
    value = torch.nn.functional.cross_entropy(out.logits, y) + 0.5 * distance.mean()
    body = sorted(method.task.body)
    grads = torch.autograd.grad(value, [leaves[n] for n in body])
    after = method.align(slots, Batch(x, y))["model"]
    expected = {n: slots["model"][n] - 0.05 * g for n, g in zip(body, grads, strict=True)}
    assert_state(after, expected)
    assert torch.equal(after["head.weight"], slots["model"]["head.weight"])


def test_fedpacs_phases_and_heads():
    federation = run("fedpac", rounds=2)
    method = federation.method
    assert [phase.epochs for phase in method.phases()] == [1, 1, 2, 1]
    assert differ(federation.server["heads"]["head.weight"])
    received, _ = federation._receive(None)
    assert_equal(
        {"h": federation.server["heads"]},
        {"h": {n: received["model"][n] for n in method.task.head}},
    )
    slots, (x, y) = one_client(method)
    after = method.phases()[1].step(slots, Batch(x, y))["model"]
    for name in method.task.parameters:
        assert torch.equal(after[name], slots["model"][name]) is (name in method.task.body)


# pFedHN ---------------------------------------------------------------------------------------------
def test_pfedhns_server_step_is_the_gradient_of_the_inner_product():
    values = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "clip": 1e9, "width": 6}
    method = make_method("pfedhn", values)
    model = method.task.initial_state()
    server = method.init_server(model, torch.full((4,), 0.25), 1)
    assert server["hypernetwork"]["embedding"].shape == (4, 2)
    sent = method.download(server, 2)["model"]
    returned = nudged(sent, 3)
    uploads = {"model": {n: t[None] for n, t in returned.items()}}
    after = method.aggregate(server, uploads, torch.tensor([1.0]), [2])
    leaves = {n: t.clone().requires_grad_() for n, t in server["hypernetwork"].items()}
    generated = method.generate(leaves, 2, model)
    product = sum(((sent[n] - returned[n]) * generated[n]).sum() for n in generated)
    grads = torch.autograd.grad(product, list(leaves.values()))
    expected = {
        n: t.detach() - 0.1 * (g + 0.01 * t.detach())
        for (n, t), g in zip(leaves.items(), grads, strict=True)
    }
    assert_state(after["hypernetwork"], expected)
    clipped = make_method("pfedhn", values | {"clip": 1e-3, "weight_decay": 0.0})
    velocity = clipped.aggregate(server, uploads, torch.tensor([1.0]), [2])["velocity"]
    norm = torch.cat([t.flatten() for t in velocity.values()]).norm().item()
    assert norm == pytest.approx(1e-3)


def test_pfedhn_steps_once_per_client_from_the_models_sent_when_the_round_began():
    method = make_method("pfedhn", {"lr": 0.1, "width": 6})
    model, weights = method.task.initial_state(), torch.full((2,), 0.5)
    server = method.init_server(model, torch.full((4,), 0.25), 1)
    sent = {client: method.download(server, client)["model"] for client in (0, 2)}
    change = {client: nudged(sent[client], client, scale=-0.1) for client in sent}
    uploads = {"model": {n: torch.stack([change[c][n] for c in sent]) for n in sent[0]}}
    together = method.aggregate(server, uploads, weights, [0, 2])
    for client in sent:
        now = method.download(server, client)["model"]
        returned = {n: now[n] + (change[client][n] - sent[client][n]) for n in now}
        single = {"model": {n: t[None] for n, t in returned.items()}}
        server = method.aggregate(server, single, weights[:1] * 2, [client])
    assert_close(together, server)


def test_pfedhn_starts_around_the_shared_model_and_gives_each_client_its_own():
    method = make_method("pfedhn")
    model = method.task.initial_state()
    server = method.init_server(model, torch.full((4,), 0.25), 1)
    net = server["hypernetwork"]
    silent = net | {n: torch.zeros_like(t) for n, t in net.items() if n.endswith(":weight")}
    assert_state(method.generate(silent, 0, model), {n: model[n] for n in method.task.parameters})
    for a, b in itertools.combinations(range(4), 2):
        left, right = (method.download(server, client)["model"] for client in (a, b))
        assert not torch.equal(left["hidden.weight"], right["hidden.weight"])


def test_pfedhn_deploys_the_generated_model():
    federation = run("pfedhn", rounds=2)
    slots = federation._with_own_statistics(federation._receive(None)[0])
    assert shares(federation._right(slots)) == federation.history[-1]["personal"]
    assert_close({"m": federation.server["model"]}, {"m": federation.method.task.initial_state()})
