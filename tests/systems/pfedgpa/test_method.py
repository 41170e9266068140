"""pFedGPA in the rounds: its limiting cases are other methods, and hollow runs show."""

import numpy as np
import pytest
import torch
from tiny import SETTINGS, Linear, TinyNet, assert_equal, flat, make_federation

from fedgenbench.core.errors import UserError


def play(rounds=3, net=TinyNet, **changed):
    """A run of pfedgpa on the tiny federation, with these settings changed."""
    settings = SETTINGS["pfedgpa"] | changed
    federation = make_federation("pfedgpa", rounds=rounds, settings=settings, net=net)
    federation.run()
    return federation


def accuracies(federation, metric):
    return [entry[metric] for entry in federation.history]


@pytest.mark.parametrize("net", [TinyNet, Linear])
def test_with_the_mean_in_place_of_generation_it_is_fedavg_to_the_bit(net):
    ours, fedavg = play(generation="mean", net=net), make_federation("fedavg", rounds=3, net=net)
    fedavg.run()
    assert_equal({"model": ours.server["model"]}, {"model": fedavg.server["model"]})
    assert accuracies(ours, "trained") == accuracies(fedavg, "trained")
    if net is Linear:  # batch norm's statistics of a received model are its client's
        assert accuracies(ours, "start") == accuracies(fedavg, "start")


def test_with_own_uploads_from_the_first_round_it_is_local_training_to_the_bit():
    ours, local = play(generation="own", warmup=0), make_federation("local", rounds=3)
    local.run()
    assert_equal({"m": ours.clients["model"]}, {"m": local.clients["model"]})


def test_without_autoencoder_eta_one_is_the_own_upload():
    literal, own = (
        play(autoencoder="none", eta=1.0, rule="dpm_encoder"),
        play(autoencoder="none", generation="own"),
    )
    for name, tensor in flat(own.clients).items():
        torch.testing.assert_close(flat(literal.clients)[name], tensor, rtol=1e-4, atol=1e-5)
    assert max(literal.history[-1]["server"]["moved"]) < 1e-4
    assert literal.history[-1]["server"]["nearest"] == [0, 1, 2, 3]


def test_noise_leads_as_far_as_generation_would_have_led():
    # One round of generation: later ones start from other weights.
    ours, noise = (
        play(autoencoder="none", warmup=2, generation=each) for each in ("diffusion", "noise")
    )
    logged = [federation.history[-1]["server"] for federation in (ours, noise)]
    np.testing.assert_allclose(logged[0]["moved"], logged[1]["moved"], rtol=1e-3)
    assert logged[0]["loss"] == logged[1]["loss"]
    made = [flat({"g": f.server["generated"]}) for f in (ours, noise)]
    assert not any(torch.equal(t, made[1][name]) for name, t in made[0].items())


def test_stored_sends_the_mean_of_each_clients_own_uploads():
    stored = play(generation="stored", warmup=1)
    buffer = stored.server["buffer"]["vectors"]
    means = buffer.reshape(4, 3, -1).mean(1)
    expected = stored.method.layout.restore(means)
    for name, tensor in stored.server["generated"].items():
        torch.testing.assert_close(tensor, expected[name])
    logged = stored.history[-1]["server"]
    assert {"change", "moved", "generated", "overlap"} <= logged.keys()
    assert "loss" not in logged
    assert stored.history[0].get("server") is None


def test_overlap_is_one_where_the_upload_is_what_comes_back():
    literal = play(autoencoder="none", eta=1.0).history[-1]["server"]
    assert literal["overlap"] == [1.0] * 4


def test_a_smaller_eta_moves_clients_further():
    moved = [
        np.mean(play(autoencoder="none", eta=eta).history[-1]["server"]["moved"])
        for eta in (1.0, 0.7, 0.0)
    ]
    assert moved[0] < moved[1] < moved[2]


def test_generation_begins_after_the_warm_up():
    federation = play(warmup=2)
    assert ["server" in entry for entry in federation.history] == [False, False, True]
    assert len(federation.server["buffer"]["vectors"]) == 3 * 4


def test_the_logged_change_is_what_the_client_receives():
    federation = play(autoencoder="none", eta=0.5)
    sent = federation.method.layout.flatten(federation.clients["model"], [0, 1, 2, 3]).double()
    back = federation.method.layout.flatten(federation.server["generated"], [0, 1, 2, 3]).double()
    step = (back - sent).norm(dim=1).numpy()
    own = (sent - sent.mean(0)).norm(dim=1).numpy()
    logged = federation.history[-1]["server"]
    np.testing.assert_allclose(logged["change"], step / sent.norm(dim=1).numpy(), rtol=1e-4)
    np.testing.assert_allclose(logged["moved"], step / own, rtol=1e-4)


def test_only_the_chosen_layers_are_generated_and_the_others_averaged():
    head = play(layers=["head"], autoencoder="none", eta=0.0)
    assert set(head.server["generated"]) == {"head.weight", "head.bias"}
    sent = head.method.download(head.server, 2)["model"]
    for name, tensor in sent.items():
        source = head.server["generated"][name][2] if "head" in name else head.server["model"][name]
        assert torch.equal(tensor, source)


def test_kept_layers_neither_travel_nor_change_by_aggregation():
    kept = play(layers=["head"], autoencoder="none", others="local")
    assert set(kept.method.download(kept.server, 0)["model"]) == {"head.weight", "head.bias"}
    start = kept.method.receive(
        {"model": {n: t[0] for n, t in kept.clients["model"].items()}},
        kept.method.download(kept.server, 0),
    )["model"]
    for name, tensor in start.items():
        if not name.startswith("head"):
            assert torch.equal(tensor, kept.clients["model"][name][0])


def test_an_autoencoder_below_the_gate_stops_the_run():
    with pytest.raises(UserError, match=r"linear autoencoder leaves \d+ % .* asks for 100 %"):
        play(components=1, reconstruction=1.0, rounds=5)


def test_an_unknown_layer_stops_the_run_before_it_starts():
    with pytest.raises(UserError, match="no layer 'classifier'"):
        make_federation("pfedgpa", settings=SETTINGS["pfedgpa"] | {"layers": ["classifier"]})


@pytest.mark.parametrize(
    ("changed", "clients", "words"),
    [
        ({"warmup": 3}, 4, "warmup 3 leaves no round"),
        ({"components": 9}, 4, "components 9 need more uploads"),
    ],
)
def test_what_cannot_work_is_told_before_a_run(changed, clients, words):
    from fedgenbench.federated.method import method_class

    settings = method_class("pfedgpa").Settings.model_validate(SETTINGS["pfedgpa"] | changed)
    assert words in settings.fault(clients, 3)
    assert settings.model_copy(update={"generation": "own"}).fault(clients, 3) is None
