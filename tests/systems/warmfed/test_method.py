"""WarmFed and FGL: what trains where, what teaches whom, and what is recorded of it."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tiny import BATCH, CLASSES, TRAIN, assert_close, assert_equal, make_data, make_federation
from tiny import make_method as method_of

from fedgenbench.federated.data import SERVER, BatchOrder
from fedgenbench.federated.server import row_of
from fedgenbench.federated.types import Batch
from fedgenbench.systems.warmfed.method import CHOICES

ENGINES = ["sequential", "vmap"]


def run(name="warmfed", settings=None, **options):
    federation = make_federation(name, settings, **options)
    federation.run()
    return federation


def warm_model(seed=11):
    state = method_of("fedavg").task.initial_state()
    draws = np.random.default_rng(seed)
    return {n: t + 0.1 * torch.from_numpy(draws.normal(size=t.shape)) for n, t in state.items()}


# Warm start -------------------------------------------------------------------------------------
@pytest.mark.parametrize("engine", ENGINES)
def test_a_warm_start_is_what_everybody_begins_with_and_is_scored_as_round_0(engine):
    warm = warm_model()
    federation = make_federation("fedavg", engine=engine, warm=warm, rounds=1)
    assert_equal({"model": federation.server["model"]}, {"model": warm})
    for client in range(len(TRAIN)):
        assert_equal({"model": row_of(federation.clients, client)["model"]}, {"model": warm})
    before, first = federation.run()
    assert before["round"] == 0
    data, task = federation.data, federation.method.task
    for client, rows in enumerate(data.test):
        hits = task.logits(warm, data.images(rows)).argmax(1) == data.y[rows]
        assert before["global"][client] == first["start"][client] == hits.double().mean().item()


def test_without_a_warm_start_there_is_no_global_score_before_round_1():
    assert "global" not in run(rounds=1).history[0]
    assert run("fedavg", rounds=1).history[0]["round"] == 1


# Fine-tuning on synthetic images ------------------------------------------------------------------
def test_without_fine_tuning_the_global_model_is_fedavgs():
    off = {"site": "none", "server_epochs": 0}
    assert_equal(
        {"model": run(settings=off).server["model"]}, {"model": run("fedavg").server["model"]}
    )


@pytest.mark.parametrize(
    ("site", "order"),
    [
        ("client_pre", ["synthetic", "private"]),
        ("server_pre_agg", ["private", "synthetic"]),
        ("none", ["private"]),
    ],
)
def test_the_site_says_where_local_models_meet_synthetic_images(site, order):
    method = method_of("warmfed", {"site": site})
    assert [phase.on for phase in method.phases()] == order
    assert method.hands_out_images() is (site == "client_pre")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_server_goes_on_from_the_aggregate_on_the_synthetic_images_alone(engine):
    settings = {"site": "none", "server_epochs": 2}
    tuned = run(settings=settings, rounds=1, engine=engine)
    plain = run("fedavg", rounds=1)
    order = BatchOrder(tuned.data, BATCH, tuned.seed, 1)
    slots = {"model": plain.server["model"]}
    (phase,) = tuned.method.refine()
    for batch in order.batches(SERVER, phase):
        slots = plain.method.step(slots, batch)
    for name in plain.method.task.parameters:
        assert_allclose(tuned.server["model"][name], slots["model"][name], atol=1e-9)
    assert not torch.equal(
        tuned.server["model"]["head.weight"], plain.server["model"]["head.weight"]
    )


def test_fgl_averages_uniformly_and_the_server_fine_tunes():
    federation = run("fgl", {"server_epochs": 0}, rounds=1)
    fedavg = make_federation("fedavg", rounds=1)
    fedavg.run()
    stacked = fedavg.clients["model"]  # what each client trained
    for name in federation.method.task.parameters:
        expected = stacked[name].double().mean(0)
        assert_allclose(federation.server["model"][name], expected, atol=1e-12)
    by_samples = run("fgl", {"server_epochs": 0, "weighting": "samples"}, rounds=1)
    assert_equal(by_samples.server, fedavg.server)
    tuned = run("fgl", {"server_epochs": 1}, rounds=1)
    assert not torch.equal(
        tuned.server["model"]["head.bias"], federation.server["model"]["head.bias"]
    )


# The personal model -----------------------------------------------------------------------------
@pytest.mark.parametrize("pool", ["logits", "models"])
@pytest.mark.parametrize("engine", ENGINES)
def test_lambda_0_is_plain_fine_tuning_to_the_bit(engine, pool):
    taught = run(settings={"lam": 0.0, "pool": pool}, engine=engine)
    plain = run(settings={"teacher": "none"}, engine=engine)
    assert_equal(taught.server, plain.server)
    assert [entry["adapted"] for entry in taught.history] == [
        entry["adapted"] for entry in plain.history
    ]
    if pool == "models":  # the personal models themselves
        adapted = plain._adapted(plain.rounds)
        assert_equal({"m": taught.clients["latest"]}, {"m": adapted["model"]})


def test_personal_models_are_scored_after_as_many_trainings_as_rounds():
    federation = run(rounds=3)
    before, *played = federation.history
    assert "personal" not in before
    for last, entry in zip(federation.history, played, strict=False):
        assert entry["personal"] == last["adapted"]
    seldom = run(rounds=3, evaluate_every=3)
    assert seldom.history[-1]["personal"] == federation.history[-1]["personal"]
    assert seldom.answers["personal"] == federation.answers["personal"]


def test_the_teacher_moves_the_student():
    plain, taught = (run(settings={"teacher": t, "pool": "models"}) for t in ("previous", "dsd"))
    other = run(settings={"teacher": "previous", "pool": "models", "lam": 0.0})
    for left, right in ((plain, taught), (plain, other)):
        assert not torch.equal(
            left.clients["latest"]["head.weight"], right.clients["latest"]["head.weight"]
        )


def test_in_round_1_there_is_one_teacher_so_that_dsd_is_self_distillation():
    settings = {"pool": "models"}
    dsd, previous, mean = (
        run(settings=settings | {"teacher": teacher}, rounds=1)
        for teacher in ("dsd", "previous", "mean")
    )
    assert_equal({"m": dsd.clients["latest"]}, {"m": previous.clients["latest"]})
    assert_equal({"m": dsd.clients["latest"]}, {"m": mean.clients["latest"]})


@pytest.mark.parametrize("engine", ENGINES)
def test_logits_kept_and_models_kept_teach_the_same_where_nothing_is_augmented(engine):
    kept, asked = (run(settings={"pool": p}, engine=engine) for p in ("logits", "models"))
    assert_close({"s": kept.clients["selector"]}, {"s": asked.clients["selector"]})
    assert kept.history[-1]["personal"] == asked.history[-1]["personal"]
    task, data = asked.method.task, asked.data
    for client, rows in enumerate(data.train):
        model = row_of({"latest": asked.clients["latest"]}, client)["latest"]
        torch.testing.assert_close(
            kept.clients["latest"]["logits"][client, : len(rows)],
            task.logits(model, data.images(rows)),
        )


def test_the_pool_holds_the_last_two_rounds():
    long, short = (run(settings={"pool": "models"}, rounds=rounds) for rounds in (3, 2))
    assert_equal({"m": long.clients["earlier"]}, {"m": short.clients["latest"]})


# The selector -----------------------------------------------------------------------------------
def selecting(settings=None, seed=5, size=6):
    """(method, slots, batch, [latest, earlier]) in a round with two teachers."""
    method = method_of("warmfed", settings)
    draws = np.random.default_rng(seed)
    latest, earlier = (torch.from_numpy(draws.normal(size=(size, CLASSES))) for _ in range(2))
    data = make_data()
    federation = make_federation("warmfed", settings, rounds=2)
    federation.run()
    slots = row_of(federation._receive(None)[0], 0)
    slots |= {"latest": {"logits": latest}, "earlier": {"logits": earlier}}
    batch = Batch(
        data.images(torch.arange(size)),
        torch.from_numpy(draws.integers(0, CLASSES, size)),
        row=torch.arange(size),
        gumbel=torch.from_numpy(draws.gumbel(size=(size, 2))),
    )
    return method, slots, batch, [latest, earlier]


def mask_by_hand(slots, batch, known, tau):
    flat = torch.stack(known, 1).flatten(1).numpy()
    selector = {name: t.numpy() for name, t in slots["selector"].items()}
    scores = (flat @ selector["weight"].T + selector["bias"] + batch.gumbel.numpy()) / tau
    odds = np.exp(scores - scores.max(1, keepdims=True))
    return odds / odds.sum(1, keepdims=True)


def test_the_mask_is_one_hot_and_changes_with_the_data():
    method, slots, batch, known = selecting()
    slots["selector"] = {
        name: torch.from_numpy(np.random.default_rng(2).normal(size=t.shape))
        for name, t in slots["selector"].items()
    }
    tau = method._tau(slots["clock"]["round"]).item()
    chosen = mask_by_hand(slots, batch, known, tau).argmax(1)
    _, teacher = method.select(slots, known, batch)
    expected = np.stack([known[c][row].numpy() for row, c in enumerate(chosen)])
    assert_allclose(teacher, expected)
    assert set(chosen) == {0, 1}
    _, other = method.select(slots, [known[1], known[0]], batch)
    assert not torch.equal(teacher, other)


def test_a_soft_mask_mixes():
    method, slots, batch, known = selecting({"hard": False})
    mask = mask_by_hand(slots, batch, known, method._tau(slots["clock"]["round"]).item())
    _, teacher = method.select(slots, known, batch)
    expected = sum(mask[:, [k]] * known[k].numpy() for k in range(2))
    assert_allclose(teacher, expected, atol=1e-12)


@pytest.mark.parametrize("hard", [True, False])
def test_the_selector_takes_adams_step_of_its_own_loss(hard):
    """Against torch's autograd and torch's Adam, the straight-through mask written out."""
    method, slots, batch, known = selecting({"hard": hard})
    tau = method._tau(slots["clock"]["round"]).item()
    leaves = {n: t.clone().requires_grad_() for n, t in slots["selector"].items()}
    optimiser = torch.optim.Adam(leaves.values(), lr=method.settings.selector_lr)
    slots["adam"] = {n: torch.zeros_like(t) for n, t in slots["adam"].items()}
    for _ in range(3):
        stacked = torch.stack(known, 1)
        scores = stacked.flatten(1) @ leaves["weight"].T + leaves["bias"]
        mask = ((scores + batch.gumbel) / tau).softmax(1)
        if hard:
            chosen = torch.nn.functional.one_hot(mask.argmax(1), 2).to(mask.dtype)
            mask = chosen + mask - mask.detach()
        loss = torch.nn.functional.cross_entropy((mask[:, :, None] * stacked).sum(1), batch.y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        slots, _ = method.select(slots, known, batch)
        assert_close({"s": slots["selector"]}, {"s": {n: t.detach() for n, t in leaves.items()}})


def test_no_gradient_reaches_teachers_or_selector_from_the_student():
    method, slots, batch, known = selecting()
    for logits in known:
        logits.requires_grad_()
    after, teacher = method.select(slots, known, batch)
    assert not teacher.requires_grad
    # The student's step changes the selector by its own loss alone: lambda plays no part.
    louder = method_of("warmfed", {"lam": 50.0})
    slots |= {"latest": {"logits": known[0].detach()}, "earlier": {"logits": known[1].detach()}}
    quiet, loud = (m.learn(slots, batch) for m in (method, louder))
    assert_equal({"s": quiet["selector"]}, {"s": loud["selector"]})
    assert_equal({"s": quiet["selector"]}, {"s": after["selector"]})
    assert not torch.equal(quiet["model"]["head.weight"], loud["model"]["head.weight"])


def test_the_selector_learns_whom_to_believe():
    """The latest teacher is right, the one before it is wrong: the loss falls, the share follows."""
    method, slots, batch, _ = selecting({"selector_lr": 0.1})
    right = 4 * torch.nn.functional.one_hot(batch.y, CLASSES).double()
    known = [right, right.roll(1, 1)]
    losses, shares = [], []
    draws = np.random.default_rng(9)
    for _ in range(60):
        before = slots["log"]
        batch = batch._replace(gumbel=torch.from_numpy(draws.gumbel(size=(len(batch.y), 2))))
        slots, _ = method.select(slots, known, batch)
        losses.append((slots["log"]["selection_loss"] - before["selection_loss"]).item())
        shares.append((slots["log"]["earlier"] - before["earlier"]).item())
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    assert sum(shares[-10:]) < sum(shares[:10])


@pytest.mark.parametrize("engine", ENGINES)
def test_the_pool_grows_with_a_client_s_images_and_models_do_not(engine):
    """Of every image the logits of two past models; a number has as many bytes as the run's."""
    federation = run(rounds=2, engine=engine)
    record, sizes = federation.history[2]["server"], np.array(federation.sizes)
    (of_one,) = {t.element_size() for t in federation.clients["latest"].values()}
    assert record["samples"] == sizes.tolist()
    assert record["pool_bytes"] == (2 * CLASSES * of_one * sizes).tolist()
    models = run(settings={"pool": "models"}, rounds=2, engine=engine)
    model = sum(t[0].nbytes for t in models.clients["latest"].values())
    assert models.history[2]["server"]["pool_bytes"] == [2 * model] * len(sizes)


@pytest.mark.parametrize(
    ("round_", "expected"), [(1, 1.0), (2, 0.8), (3, 0.64), (5, 0.5), (9, 0.5)]
)
def test_tau_decays_to_its_floor(round_, expected):
    method = method_of("warmfed")
    assert method._tau(torch.tensor(float(round_))).item() == pytest.approx(expected)


# The record -------------------------------------------------------------------------------------
def test_what_is_logged_begins_when_it_happens():
    history = run(rounds=3).history
    assert [entry["round"] for entry in history] == [0, 1, 2, 3]
    assert "server" not in history[0]
    assert history[1]["server"].keys() == {"distillation_loss", "samples", "pool_bytes"}
    for entry in history[2:]:
        logged = entry["server"]
        share = np.array(logged["selection_share"])
        assert len(share) == len(TRAIN)
        assert ((share >= 0) & (share <= 1)).all()
        with np.errstate(divide="ignore", invalid="ignore"):
            bits = -np.nansum([p * np.log2(p) for p in (share, 1 - share)], axis=0)
        assert_allclose(logged["mask_entropy"], bits, atol=1e-12)
        assert_allclose(logged["tau"], 0.8 ** (entry["round"] - 1))
        assert (np.array(logged["selection_loss"]) > 0).all()


def test_a_share_counts_samples():
    method, slots, batch, known = selecting()
    whole, _ = method.select(slots, known, batch)
    mask = torch.tensor([1.0, 1, 1, 0, 0, 0], dtype=torch.float64)
    part, _ = method.select(slots, known, batch._replace(mask=mask))
    chosen = mask_by_hand(slots, batch, known, method._tau(slots["clock"]["round"]).item())
    earlier = chosen.argmax(1)
    assert whole["log"]["earlier"].item() == pytest.approx(earlier.sum())
    assert part["log"]["earlier"].item() == pytest.approx(earlier[:3].sum())
    assert (whole["log"]["selected"].item(), part["log"]["selected"].item()) == (6, 3)


@pytest.mark.parametrize(("bias", "collapsed"), [(50.0, 1.0), (-50.0, 1.0), (0.0, 0.0)])
def test_collapse_is_seen(bias, collapsed):
    federation = make_federation("warmfed", {"selector_lr": 1e-9}, rounds=3)
    remember = federation.method.remember

    def biased(slots, logits):
        kept = remember(slots, logits)
        shape = kept["selector"]["bias"]
        kept["selector"] |= {"bias": shape.new_tensor([-bias, bias])}
        return kept

    federation.method.remember = biased
    federation.run()
    logged = federation.history[-1]["server"]
    assert set(logged["collapsed"]) == {collapsed} or bias == 0.0
    if bias:
        assert set(logged["selection_share"]) == {1.0 if bias > 0 else 0.0}
        assert_allclose(logged["mask_entropy"], 0, atol=1e-12)
    else:
        big = np.array(TRAIN) > 4  # few samples may fall on one side by chance
        assert not np.array(logged["collapsed"])[big].any()


def test_choices_are_the_pool():
    federation = run(rounds=2)
    assert set(CHOICES) <= set(federation.clients)
