"""Clients that join after the last round."""

import numpy as np
import pytest
import torch
from tiny_study import SETTINGS, changed, toy

from fedgenbench.core.answers import shares, unpacked
from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.federated.run import data_of, federation
from fedgenbench.systems.pfedgpa.clients import Clients
from fedgenbench.systems.pfedgpa.diffusion import alphas_bar
from fedgenbench.systems.pfedgpa.newcomers import Newcomers, newcomers
from fedgenbench.systems.pfedgpa.study_settings import NewcomerSettings

NEW = [3, 4]
ASKED = {"share": 0.4, "rounds": 2, "steps": [2, 4], "omegas": [1.0, -1.0]}
LAST = ASKED["rounds"] + 1


def play(folder, settings=SETTINGS, **asked):
    return newcomers(
        settings | {"newcomers": ASKED | asked},
        *toy(),
        "cpu",
        checkpoint=Checkpoint(folder / "newcomers", ""),
        progress=lambda note: None,
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return play(tmp_path_factory.mktemp("newcomers"))


@pytest.fixture(scope="module")
def study():
    return joined(SETTINGS)


def joined(settings):
    """New clients before the server of a federation with everybody."""
    data = data_of(settings, *toy(), "cpu")
    played = federation(settings, data, 4)
    played.run()
    clients = Clients(played.method, data, settings, NEW)
    found = Newcomers(played, played.server["model"], clients, NewcomerSettings(**ASKED))
    found.server = played.server
    return found


def values(found, arm, steps=None, omega=None):
    """(round, stage, client) -> accuracy."""
    return {
        (row["round"], row["stage"], row["client"]): row["value"]
        for row in found["rows"]
        if (row["arm"], row["steps"], row["omega"]) == (arm, steps, omega)
    }


def test_rows_are_the_starts_the_trained_and_the_generated(found):
    assert found["clients"] == NEW
    trained = {(r, "trained", c) for r in range(LAST + 1) for c in NEW}
    generated = {(r, "generated", c) for r in range(1, LAST) for c in NEW}
    assert values(found, "local").keys() == values(found, "fedavg_ft").keys() == trained
    assert values(found, "unguided", 2).keys() == trained | generated
    for arm in ("guided", "guided_printed", "random_guided"):
        for steps in (2, 4):
            for omega in (1.0, -1.0):
                assert values(found, arm, steps, omega).keys() == trained | generated
    assert {row["arm"] for row in found["rows"]} == {
        *("local", "fedavg_ft", "unguided", "guided", "guided_printed", "random_guided")
    }
    assert len({tuple(row.items()) for row in found["rows"]}) == len(found["rows"])


def test_answers_have_the_accuracies_of_their_models(found):
    said = found["answers"]
    assert len(said["images"]) == len(NEW)
    for row in found["rows"]:
        name = " ".join(str(row[key]) for key in ("arm", "steps", "omega", "round", "stage"))
        right = unpacked(said["rows"][name], said["images"])
        assert shares(right)[NEW.index(row["client"])] == row["value"], name


def test_local_is_the_method_of_that_name(found):
    settings = SETTINGS | {"method": "local", "method_settings": {}, "rounds": LAST}
    run = federation(settings, data_of(settings, *toy(), "cpu"), 4)
    for entry in run.run():
        for client in NEW:
            own = values(found, "local")[entry["round"], "trained", client]
            assert own == entry["trained"][client]


def test_the_engines_agree(found, tmp_path):
    other = play(tmp_path, SETTINGS | {"engine": "vmap"})
    for arm in ("local", "fedavg_ft"):
        mine, yours = values(found, arm), values(other, arm)
        # One of twenty images may fall on the other side of a tie.
        assert {key: pytest.approx(value, abs=0.051) for key, value in mine.items()} == yours


def test_guidance_of_minus_one_is_none(found):
    for steps in (2, 4):
        unguided = values(found, "unguided", steps)
        assert values(found, "guided", steps, -1.0) == unguided
        assert values(found, "guided_printed", steps, -1.0) == unguided


def test_guidance_of_minus_one_gives_the_same_bits(study):
    arms = study.arms()
    _, plain = arms["unguided, 4 steps"]()
    _, off = arms["guided_printed, 4 steps, ω = -1"]()
    _, on = arms["guided, 4 steps, ω = 1"]()
    assert all(torch.equal(plain[name], off[name]) for name in plain)
    _, printed = arms["guided_printed, 4 steps, ω = 1"]()
    assert not all(torch.equal(plain[name], on[name]) for name in plain)
    assert not all(torch.equal(printed[name], on[name]) for name in plain)


def test_every_round_and_client_has_noise_of_its_own(study):
    same = study.vectors(study.initial)
    first, second = (study.guide(4, -1.0, "towards", same, same, round_) for round_ in (1, 2))
    assert torch.equal(first, study.guide(4, 3.0, "printed", same, same, 1))  # nothing to follow
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_the_last_step_goes_along_the_clients_update_by_a_known_length(study):
    before, trained = study.vectors(study.initial), study.vectors(study.fedavg)
    trained = trained + torch.linspace(0, 0.01, 2)[:, None]  # two different clients

    def codes(omega, sign):
        return study.generator.encode(study.guide(1, omega, sign, trained, before, 1))

    direction = study.generator.encode(trained) - study.generator.encode(before)
    unit = direction / direction.square().mean(1, keepdim=True).sqrt()
    noise_share = 1 - float(alphas_bar()[0])
    step = noise_share / np.sqrt(1 - noise_share) * 4 * unit
    off = codes(-1.0, "towards")
    torch.testing.assert_close(codes(3.0, "towards") - off, step, atol=1e-5, rtol=0.05)
    torch.testing.assert_close(codes(3.0, "printed") - off, -step, atol=1e-5, rtol=0.05)


def test_the_direction_is_from_one_local_training_to_the_next(study):
    seen = []

    def generate(trained, before, round_):
        seen.append((trained, before, round_))
        return torch.zeros_like(trained)

    _, models = study.play("", study.initial, generate)
    (first, start, one), (second, previous, two) = seen
    assert (one, two) == (1, 2)
    assert torch.equal(start, study.vectors(study.initial))
    assert torch.equal(previous, first)
    zeros = {name: torch.zeros_like(t) for name, t in study.initial.items()}
    for round_, expected in ((2, second), (3, study.vectors(models))):
        assert torch.equal(study.vectors(study.clients.train(zeros, round_)), expected)
    assert torch.equal(study.vectors(study.clients.train(study.initial, 1)), first)


def test_newcomers_never_change_the_frozen_server(study):
    before = {f"{role}/{n}": t.clone() for role, s in study.server.items() for n, t in s.items()}
    learnt = {name: t.clone() for name, t in study.generator.state().items()}
    for arm in study.arms().values():
        arm()
    for role, state in study.server.items():
        for name, tensor in state.items():
            assert torch.equal(tensor, before[f"{role}/{name}"])
    assert all(torch.equal(t, learnt[name]) for name, t in study.generator.state().items())


def test_the_federation_never_sees_the_new_clients(found):
    dataset, partition = toy()
    fewer = type(partition)(**vars(partition) | {"clients": partition.clients[:3]})
    for method, own in (("pfedgpa", SETTINGS["method_settings"]), ("fedavg", {})):
        settings = SETTINGS | {"method": method, "method_settings": own}
        run = federation(settings, data_of(settings, dataset, fewer, "cpu"), 4)
        assert run.run()[-1]["personal"] == found["residents"][method]
        if method == "fedavg":
            clients = Clients(
                run.method, data_of(settings, dataset, partition, "cpu"), settings, NEW
            )
            model = {n: t.expand(2, *t.shape) for n, t in run.server["model"].items()}
            start = values(found, "fedavg_ft")
            assert clients.accuracy(model) == [start[0, "trained", client] for client in NEW]


def test_it_repeats_and_picks_up_where_it_was_killed(found, tmp_path):
    assert play(tmp_path) == found
    assert sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("rounds.*")) == [
        "newcomers/fedavg/rounds.safetensors",
        "newcomers/pfedgpa/rounds.safetensors",
    ]
    assert play(tmp_path) == found


def test_the_density_compares_the_newcomers_with_the_residents(found, study):
    rows = {row["of"]: row for row in found["density"]}
    assert list(rows) == ["residents", *dict.fromkeys(row["arm"] for row in found["rows"])]
    assert all(row["error"] < 1e-5 for row in rows.values())  # there is no autoencoder
    linear = joined(changed(autoencoder="linear", components=3))
    start = linear.initial
    (residents, first) = linear.density({"start": start})
    vectors, generator = linear.vectors(start), linear.generator
    own = generator.normaliser.centre
    lost = (vectors - generator.rebuild(vectors)).norm() / (vectors - own).norm()
    assert first["error"] == pytest.approx(float(lost))
    assert first["loss"] == generator.loss(vectors)
    assert 0 < residents["error"] < first["error"] <= 1.01


def test_with_generated_heads_the_others_are_received(tmp_path):
    settings = changed(layers=["head"])
    study = joined(settings)
    arms = study.arms()
    assert "received" in arms
    initial = study.method.task.initial_state()
    hidden, head = study.received["hidden.weight"], study.received["head.weight"]
    assert torch.equal(hidden[0], study.server["model"]["hidden.weight"])
    assert torch.equal(head[1], initial["head.weight"])
    assert torch.equal(study.initial["hidden.weight"][0], initial["hidden.weight"])
    starts = {name: arm.args[1]["hidden.weight"] for name, arm in arms.items()}
    assert torch.equal(starts["local"][0], initial["hidden.weight"])
    for name in ("received", "guided, 2 steps, ω = 1", "random_guided, 2 steps, ω = 1"):
        assert torch.equal(starts[name], hidden)
    drawn = arms["random_guided, 2 steps, ω = 1"].args[1]["head.weight"]
    assert not torch.equal(drawn[0], drawn[1])
    assert "received" not in joined(changed(layers=["head"], others="local")).arms()


def test_an_arm_that_diverges_is_a_finding(study):
    (row, _) = study.density({"gone": {n: t * torch.nan for n, t in study.initial.items()}})[::-1]
    assert row == {"of": "gone", "loss": None, "error": None}

    def generate(trained, before, round_):
        made = trained.clone()
        if round_ == 2:
            made[1, 5] = torch.inf
        return made

    rows, models = study.play("", study.initial, generate)
    plain, _ = study.play("", study.initial)
    lost = [(r["round"], r["stage"]) for r in rows if not r["finite"]]
    assert lost == [(2, "generated"), (3, "trained")]
    assert {r["client"] for r in rows if not r["finite"]} == {NEW[1]}
    assert {r["value"] for r in rows if not r["finite"]} == {0.0}
    trained = [r["value"] for r in rows if r["client"] == NEW[0] and r["stage"] == "trained"]
    assert trained == [r["value"] for r in plain if r["client"] == NEW[0]]
    alone = {name: t[:1] for name, t in models.items()}
    (_, both), (_, one) = study.density({"last": models}), study.density({"last": alone})
    assert both == one


@pytest.mark.parametrize(
    ("settings", "asked", "message"),
    [
        (SETTINGS, {"share": 0.95}, "0.95 of 5 clients leaves none"),
        (SETTINGS, {"steps": [11]}, "11 is more than the 10 inversion_steps"),
        (changed(generation="own"), {}, "`generation` must be diffusion"),
        (changed(warmup=3), {}, "`rounds` more than `warmup`"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path, settings, asked, message):
    with pytest.raises(UserError, match=message):
        play(tmp_path, settings, **asked)
