"""Rounds: who takes part, what is kept, scored, refused, and how a killed run goes on."""

import signal

import numpy as np
import pytest
import torch
from tiny import BATCH, TRAIN, assert_equal, make_data, make_federation

from fedgenbench.core import termination
from fedgenbench.core.answers import shares, unpacked
from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.federated.data import BatchOrder
from fedgenbench.federated.method import Phase
from fedgenbench.federated.methods.fedavg import FedAvg
from fedgenbench.federated.methods.scaffold import Scaffold
from fedgenbench.federated.reception import Reception
from fedgenbench.federated.server import row_of

ENGINES = ["sequential", "vmap"]


def play(name="fedavg", **options):
    federation = make_federation(name, **options)
    federation.run()
    return federation


# Scores ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("engine", ENGINES)
def test_scores_equal_a_plain_loop(engine):
    federation = play("fedavg", engine=engine)
    task, data = federation.method.task, federation.data
    last = federation.history[-1]
    for client, rows in enumerate(data.test):
        for metric, model in (
            ("global", federation.server["model"]),
            ("trained", row_of(federation.clients, client)["model"]),
        ):
            hits = sum(
                int(task.logits(model, data.images(r[None])).argmax()) == int(data.y[r])
                for r in rows
            )
            assert last[metric][client] == hits / len(rows)
    assert last["personal"] == last["global"]


@pytest.mark.parametrize("name", ["fedavg", "local", "fedavg_ft", "centralised"])
@pytest.mark.parametrize("engine", ENGINES)
def test_answers_are_those_of_the_last_evaluation(name, engine):
    federation = play(name, engine=engine, rounds=3)
    sizes = [len(rows) for rows in federation.data.test]
    last = federation.history[-1]
    assert federation.answers.keys() == last.keys() & {"start", "trained", "global", "personal"}
    for metric, bits in federation.answers.items():
        assert shares(unpacked(bits, sizes)) == last[metric]


@pytest.mark.parametrize("engine", ENGINES)
def test_clients_may_share_test_samples_and_test_in_several_batches(engine, monkeypatch):
    monkeypatch.setattr("fedgenbench.federated.engine.EVALUATION_BATCH", 3)
    data = make_data()
    data.test[1] = torch.cat([data.test[0], data.test[1][:2], data.test[0][:1]])
    federation = make_federation("fedavg", data=data, engine=engine, rounds=1)
    federation.run()
    (entry,) = federation.history
    logits = federation.method.task.logits(federation.server["model"], data.images(data.test[1]))
    expected = (logits.argmax(1) == data.y[data.test[1]]).double().mean().item()
    assert entry["global"][1] == expected
    trained = federation.method.task.logits(
        row_of(federation.clients, 1)["model"], data.images(data.test[1])
    )
    assert entry["trained"][1] == (trained.argmax(1) == data.y[data.test[1]]).double().mean().item()


def test_the_first_the_last_and_every_nth_round_are_scored():
    federation = play(rounds=5, evaluate_every=3)
    assert [entry["round"] for entry in federation.history if "personal" in entry] == [1, 3, 5]
    assert all("bytes_up" in entry for entry in federation.history)


def test_scoring_moves_no_number():
    assert_equal(play(rounds=4).server, play(rounds=4, evaluate_every=4).server)


# Training -------------------------------------------------------------------------------------------
def test_a_round_is_local_training_and_the_weighted_mean():
    federation = play(rounds=1)
    method, data = federation.method, federation.data
    order = BatchOrder(data, BATCH, federation.seed, 1)
    models = []
    for client in range(len(TRAIN)):
        slots = {"model": method.task.initial_state()}
        for batch in order.batches(client, Phase(2, method.step)):
            slots = method.step(slots, batch)
        models.append(slots["model"])
    weights = np.array(TRAIN) / sum(TRAIN)
    for name in method.task.parameters:
        expected = sum(w * model[name].numpy() for w, model in zip(weights, models, strict=True))
        np.testing.assert_allclose(federation.server["model"][name], expected, atol=1e-14)


@pytest.mark.parametrize("engine", ENGINES)
def test_momentum_ends_with_the_phase(engine):
    federation = make_federation("fedrep", engine=engine, rounds=1)
    seen = []
    finish = federation.method.finish
    federation.method.finish = lambda slots, steps: (
        seen.append(sorted(slots)) or finish(slots, steps)
    )
    federation.run()
    assert all(roles == ["model", "start"] for roles in seen)


@pytest.mark.parametrize("engine", ENGINES)
def test_idle_clients_stay_as_they_are(engine):
    federation = make_federation("fedper", engine=engine, rounds=1, participation=0.5)
    initial = federation.method.task.initial_state()
    federation.run()
    chosen = federation.participants(federation.round)  # of the round just played
    assert len(chosen) == federation.history[0]["clients"] == 2
    for client in range(len(TRAIN)):
        same = torch.equal(federation.clients["model"]["head.bias"][client], initial["head.bias"])
        assert same is (client not in chosen)


def test_participants_are_drawn_without_replacement_anew_each_round():
    federation = make_federation("fedavg", participation=0.5)
    draws = []
    for round_ in range(1, 21):
        federation.round = round_
        draws.append(federation.participants(federation.round))
    assert all(len(set(d)) == 2 and d == sorted(d) for d in draws)
    assert len({tuple(d) for d in draws}) > 3
    assert len(make_federation("fedavg", participation=0.01).participants(0)) == 1
    assert make_federation("fedavg").participants(0) == [0, 1, 2, 3]


@pytest.mark.parametrize("engine", ENGINES)
def test_finish_learns_the_number_of_local_steps(engine):
    class Counting(FedAvg):
        def init_client(self, model, counts):
            return {"model": model, "seen": {"counts": counts, "steps": counts.new_zeros(())}}

        def finish(self, slots, steps):
            return slots | {"seen": slots["seen"] | {"steps": steps}}

    federation = play(Counting, rounds=1, engine=engine)
    seen = federation.clients["seen"]
    assert seen["steps"].tolist() == [2 * -(-size // BATCH) for size in TRAIN]
    labels = [federation.data.y[rows].tolist() for rows in federation.data.train]
    assert seen["counts"].tolist() == [[own.count(k) for k in range(3)] for own in labels]


# Refused uploads ------------------------------------------------------------------------------------
class Diverging:
    """The client with three local steps per epoch sends a NaN in its first round."""

    def finish(self, slots, steps):
        slots = super().finish(slots, steps)
        spoilt = torch.where(steps == 6, torch.nan, 0.0)
        return slots | {"model": {name: t + spoilt for name, t in slots["model"].items()}}


class DivergingFedAvg(Diverging, FedAvg):
    pass


class DivergingScaffold(Diverging, Scaffold):
    pass


@pytest.mark.parametrize("engine", ENGINES)
def test_a_diverged_client_is_skipped_and_recorded(engine):
    federation = play(DivergingFedAvg, engine=engine, rounds=2, reception=Reception("skip"))
    assert [list(entry["refused"]) for entry in federation.history] == [["0"], ["0"]]
    assert "not finite" in federation.history[0]["refused"]["0"]
    weights = np.array([0, *TRAIN[1:]]) / sum(TRAIN[1:])
    for name in federation.method.task.parameters:
        trained = federation.clients["model"][name].numpy()
        assert np.isfinite(trained).all()  # the refused client kept what it had
        mean = np.tensordot(weights, trained, 1)
        np.testing.assert_allclose(federation.server["model"][name], mean, atol=1e-12)


def test_a_misshapen_upload_is_refused_with_the_client_named():
    class Misshapen(FedAvg):
        def upload(self, slots):
            model = slots["model"]
            if int(slots["size"]["n"]) == TRAIN[2]:
                model = {name: t[..., None] for name, t in model.items()}
            return {"model": model}

        def init_client(self, model, counts):
            return {"model": model, "size": {"n": counts.sum()}}

    with pytest.raises(UserError, match=r"client 2 was refused.*expected \("):
        play(Misshapen)
    federation = play(Misshapen, rounds=1, reception=Reception("skip"))
    assert list(federation.history[0]["refused"]) == ["2"]


def test_a_refused_client_and_the_server_still_agree():
    settings = {"weighting": "uniform"}
    federation = play(DivergingScaffold, settings=settings, rounds=2, reception=Reception("skip"))
    for name, common in federation.server["control"].items():
        own = federation.clients["control"][name].numpy()
        np.testing.assert_allclose(common, own.mean(0), atol=1e-12)


def test_a_diverged_client_stops_the_run():
    with pytest.raises(UserError, match="client 0 was refused"):
        play(DivergingFedAvg)


# Checkpoints ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("killed", [1, 2, 4, 5])
def test_a_killed_run_resumes_to_the_same_bits(engine, killed, tmp_path):
    unbroken = play("scaffold", rounds=5, engine=engine, participation=0.75)
    options = {
        "rounds": 5,
        "engine": engine,
        "participation": 0.75,
        "checkpoint": Checkpoint(tmp_path, "run"),
        "checkpoint_seconds": 0,
    }

    def die(round_, entry):
        if round_ == killed:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_federation("scaffold", **options).run(die)
    resumed = make_federation("scaffold", **options)
    told = []
    resumed.run(lambda round_, entry: told.append(round_))
    assert told == list(range(killed, 6))  # the round whose checkpoint was lost is played again
    assert resumed.answers == unbroken.answers
    assert resumed.history == unbroken.history
    assert list(resumed.server["model"]) == list(unbroken.server["model"])  # sums keep their order
    assert_equal(resumed.clients, unbroken.clients)
    assert_equal(resumed.server, unbroken.server)


def test_a_run_that_is_told_to_end_keeps_the_round_it_is_in(tmp_path, monkeypatch):
    options = {"rounds": 5, "checkpoint": Checkpoint(tmp_path, "run"), "checkpoint_seconds": 1e9}

    def tell(round_, entry):
        if round_ == 3:
            monkeypatch.setattr(termination, "_told", [signal.SIGTERM])

    with pytest.raises(SystemExit) as end:
        make_federation("fedavg", **options).run(tell)
    assert end.value.code == 143
    monkeypatch.setattr(termination, "_told", [])
    played = []
    resumed = make_federation("fedavg", **options)
    resumed.run(lambda round_, entry: played.append(round_))
    assert played == [4, 5]
    assert_equal(resumed.server, play("fedavg", rounds=5).server)


def test_a_finished_run_is_only_read(tmp_path):
    options = {"checkpoint": Checkpoint(tmp_path, "run"), "checkpoint_seconds": 1e9}
    first = play(**options)
    again = make_federation("fedavg", **options)
    assert again.run(lambda *_: pytest.fail("a round was played")) == first.history


def test_checkpoints_keep_their_distance_in_time(tmp_path):
    seen = []
    kept = Checkpoint(tmp_path, "run")
    make_federation("fedavg", checkpoint=kept, checkpoint_seconds=1e9).run(
        lambda *_: seen.append(kept.get("rounds"))
    )
    assert seen == [None, None, None]
    assert [path.name for path in tmp_path.iterdir()] == ["rounds.safetensors"]


@pytest.mark.parametrize("damage", [slice(0, 100), slice(0, 0)])
def test_a_damaged_checkpoint_falls_back_to_the_round_before_it(damage, tmp_path):
    kept = Checkpoint(tmp_path, "run")
    unbroken = play(checkpoint=kept, checkpoint_seconds=0.0)
    file = tmp_path / "rounds.safetensors"
    file.write_bytes(file.read_bytes()[damage])
    played = []
    resumed = make_federation("fedavg", checkpoint=kept)
    resumed.run(lambda round_, _: played.append(round_))
    assert played == [3]
    assert resumed.history == unbroken.history
    assert_equal(resumed.server, unbroken.server)


def test_a_foreign_checkpoint_is_refused(tmp_path):
    play(checkpoint=Checkpoint(tmp_path, "a"))
    with pytest.raises(UserError, match="belongs to a, not to b: delete"):
        play(checkpoint=Checkpoint(tmp_path, "b"))
