"""The one-shot study on saved uploads."""

import dataclasses

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tiny_study import CLIENTS, SETTINGS, changed, toy

from fedgenbench.core.answers import shares, unpacked
from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.federated.data import BatchOrder
from fedgenbench.federated.run import data_of, federation
from fedgenbench.systems.pfedgpa.generator import Generator
from fedgenbench.systems.pfedgpa.oneshot import Study, aggregate, fit, read, save, uploads
from fedgenbench.systems.pfedgpa.study_settings import OneShotSettings

EXACT = {"rule": "dpm_encoder", "eta": 1.0, "start": 300}
PULLED = {"rule": "dpm_encoder", "eta": 0.5, "start": 300}
FRESH = {"rule": "sdedit", "eta": 1.0, "start": 100}


class Played:
    """An experiment with its uploads, and its generator once ``fit`` was called, in files."""

    def __init__(self, folder, settings=SETTINGS, partition=None):
        dataset, made = toy()
        self.folder, self.settings = folder, settings
        self.given = dataset, partition or made
        self.path, self.fitted = folder / "uploads.safetensors", folder / "generator.safetensors"
        self.tensors, self.said = uploads(
            settings,
            *self.given,
            "cpu",
            checkpoint=Checkpoint(folder / "checkpoint", ""),
            progress=lambda round_, note: None,
        )
        save(self.path, self.tensors, {})
        self.accuracy = self.said["accuracy"]

    def fit(self, settings=None):
        state, notes, found = fit(settings or self.settings, *self.given, self.path, "cpu")
        save(self.fitted, state, notes)
        return state, found

    def aggregate(self, *rows, settings=None):
        asked = (settings or self.settings) | {"rows": list(rows)}
        return aggregate(asked, *self.given, self.path, self.fitted, "cpu")

    def study(self, settings=None):
        return Study(settings or self.settings, *self.given, self.path, "cpu")


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    one = Played(tmp_path_factory.mktemp("whole"))
    one.state, one.found = one.fit()
    return one


@pytest.fixture(scope="module")
def rows(played):
    return played.aggregate(EXACT, PULLED, FRESH)


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    return Played(tmp_path_factory.mktemp("heads"), changed(layers=["head"]))


def means(said, name):
    """Accuracies by client, from the answers of the model ``name``."""
    return shares(unpacked(said["answers"]["rows"][name], said["answers"]["images"]))


def test_answers_have_the_accuracies_of_their_models(played):
    assert means(played.said, "uploads") == played.said["accuracy"]["test"]
    for name in ("uploads", "reconstructed"):
        assert means(played.found, name) == played.found[name]["test"]
    assert played.said["answers"]["sha256"] == played.found["answers"]["sha256"]
    sizes = played.said["answers"]["images"]
    for row in played.aggregate({"rule": "autoencoder_only", "eta": 1.0, "start": 300}):
        for stage, bits in row["answers"].items():
            assert shares(unpacked(bits, sizes)) == row[stage]


# Uploads --------------------------------------------------------------------------------------------
def test_uploads_are_those_of_a_warm_up_and_local_rounds_after_it(played):
    settings = changed(generation="own")
    run = federation(settings, data_of(settings, *played.given, "cpu"), 4)
    run.run()
    for name, tensor in run.server["buffer"].items():
        assert torch.equal(played.tensors[f"buffer/{name}"], tensor)
    assert played.accuracy["test"] == run.history[-1]["trained"]
    # A plain loop: FedAvg's first round gives everybody the mean, two rounds go on from there.
    first = run.server["buffer"]["vectors"][::3].mean(0)
    received = {n: t[0] for n, t in run.method.layout.restore(first[None]).items()}
    model = {n: t.expand(CLIENTS, *t.shape) for n, t in received.items()}
    for round_ in (2, 3):
        order = BatchOrder(run.data, 4, run.seed, round_)
        slots = run.engine.train({"model": model}, run.method.phases(), order, list(range(CLIENTS)))
        model = slots["model"]
    vectors = run.method.layout.flatten(model, list(range(CLIENTS)))
    torch.testing.assert_close(vectors, played.study().vectors, atol=1e-6, rtol=1e-5)


def test_what_is_not_generated_is_kept_beside(played, heads):
    assert not [name for name in played.tensors if name.startswith("others/")]
    kept = sorted(name for name in heads.tensors if name.startswith("others/"))
    assert kept == ["others/hidden.bias", "others/hidden.weight"]
    study = heads.study()
    assert study.clients.accuracy(study.own) == heads.accuracy["test"]


def test_a_client_without_an_upload_is_named(tmp_path):
    silent = SETTINGS | {"participation": 0.2, "rounds": 2}
    with pytest.raises(UserError, match=r"client \d took part in no round"):
        Played(tmp_path, silent)


# Fit ------------------------------------------------------------------------------------------------
def test_a_saved_generator_comes_back(played):
    study, (state, notes) = played.study(), read(played.fitted, "cpu")
    assert notes == study.fitted
    again = Generator.load(study.layout, study.settings, study.seed, state)
    fresh = Generator(study.layout, study.settings, study.seed, "cpu")
    fresh.fit(study.buffer)
    codes = [g.generate(g.encode(study.vectors), study.clients.ids) for g in (again, fresh)]
    assert torch.equal(*codes)
    assert again.state().keys() == played.state.keys()
    assert all(torch.equal(t, played.state[name]) for name, t in again.state().items())


def test_a_fit_says_what_the_autoencoder_leaves(played, tmp_path):
    assert played.found["uploads"] == played.accuracy == played.found["reconstructed"]
    _, lossy = Played(tmp_path, changed(autoencoder="linear", components=1)).fit()
    assert lossy["uploads"] == played.accuracy
    assert lossy["reconstructed"] != lossy["uploads"]
    assert 0.3 < lossy["held_out_error"] <= 1
    assert played.found["held_out_error"] < 1e-6
    assert played.found["held_out_loss"] != played.found["seen_loss"]


def test_a_density_is_asked_of_so_many_uploads_of_each(played):
    settings = SETTINGS | {"density": [1, 3]}
    _, found = played.fit(settings)
    one, three = found["by_uploads"]
    assert [one["uploads"], three["uploads"]] == [1, 3]
    whole = ("held_out_loss", "seen_loss", "held_out_error")
    assert [three[name] for name in whole] == [found[name] for name in whole]
    study = played.study()
    twin = Generator(study.layout, study.settings, study.seed, "cpu")
    first = study.buffer.vectors[::3]  # three of each client, oldest first
    twin.fit(study.buffer.first(1).without(CLIENTS - 1))
    assert one["seen_loss"] == twin.loss(first[:-1])
    assert one["held_out_loss"] == twin.loss(first[-1:])


# Aggregation ----------------------------------------------------------------------------------------
def test_the_exact_code_without_an_autoencoder_returns_the_uploads(rows):
    own, exact = rows[0], rows[3]
    assert own["rule"] == "own"
    assert own["eta"] is None
    assert own["change"] == own["moved"] == own["gap"] == [0.0] * CLIENTS
    assert own["before"] == own["generated"]
    assert exact["generated"] == exact["before"]
    assert exact["trained"] == own["trained"]
    assert max(exact["change"]) < 1e-5
    assert exact["nearest"] == list(range(CLIENTS))


def test_the_mean_row_is_the_weighted_mean_of_the_uploads(tmp_path, monkeypatch):
    _, partition = toy()
    first = partition.clients[0]
    poorer = dataclasses.replace(first, train=first.train[:7])
    uneven = dataclasses.replace(partition, clients=(poorer, *partition.clients[1:]))
    played = Played(tmp_path, partition=uneven)
    played.fit()
    (_, mean, _, _) = played.aggregate(EXACT)
    study = played.study()
    expected = np.average(study.vectors.numpy(), axis=0, weights=[7, 20, 20, 20, 20])
    model = study.layout.restore(torch.tensor(expected, dtype=torch.float32).expand(CLIENTS, -1))
    assert mean["generated"] == study.clients.accuracy(model)
    monkeypatch.setattr(Study, "row", lambda self, generator, made, codes: {"made": made})
    made = played.aggregate(EXACT)[1]["made"]
    np.testing.assert_allclose(made, np.tile(expected, (CLIENTS, 1)), atol=1e-6)


def test_the_stored_row_is_the_mean_of_each_clients_own_uploads(played, rows):
    study, stored = played.study(), rows[2]
    assert stored["rule"] == "stored"
    means = study.buffer.vectors.reshape(CLIENTS, 3, -1).mean(1)
    assert stored["generated"] == study.clients.accuracy(study.layout.restore(means))
    step = (means - study.vectors).norm(dim=1) / study.vectors.norm(dim=1)
    np.testing.assert_allclose(stored["change"], step, rtol=1e-4)


def test_beside_each_row_stands_noise_that_leads_as_far(played, rows):
    own, mean, _, _, pulled, _ = rows
    assert own["noised"] == own["generated"]
    assert own["overlap"] == own["noised_overlap"] == [1.0] * CLIENTS
    assert pulled["noised"] != mean["noised"]
    sizes = played.said["answers"]["images"]
    for row in (mean, pulled):
        right = {name: unpacked(bits, sizes) for name, bits in row["answers"].items()}
        for model, name in (("generated", "overlap"), ("noised", "noised_overlap")):
            wrong = [(~a, ~b) for a, b in zip(right[model], right["before"], strict=True)]
            assert row[name] == [(a & b).sum() / (a | b).sum() for a, b in wrong]


def test_a_row_does_not_depend_on_which_others_are_asked_for(played, rows):
    assert played.aggregate(PULLED)[3] == rows[4]
    assert played.aggregate(FRESH, PULLED)[3:] == [rows[5], rows[4]]


def test_a_row_says_what_happened(rows):
    own, mean, _, exact, pulled, _ = rows
    assert (pulled["rule"], pulled["eta"], pulled["start"]) == ("dpm_encoder", 0.5, 300)
    assert all(a > b for a, b in zip(pulled["moved"], exact["moved"], strict=True))
    assert mean["moved"] == pytest.approx([1.0] * CLIENTS, abs=1e-5)
    assert own["group_kept"] == [True] * CLIENTS
    nearest = mean["nearest"]
    assert len(set(nearest)) == 1
    assert mean["group_kept"] == [client % 2 == nearest[0] % 2 for client in range(CLIENTS)]


def test_one_more_round_of_training_goes_on_from_what_was_generated(played, rows):
    study = played.study()
    run = federation(SETTINGS, study.clients.data, 4)
    order = BatchOrder(study.clients.data, 4, SETTINGS["seed"], 4)
    slots = run.engine.train({"model": study.own}, run.method.phases(), order, list(range(CLIENTS)))
    assert rows[0]["trained"] == study.clients.accuracy(slots["model"])


def test_without_groups_nothing_is_said_of_them(played):
    dataset, partition = played.given
    other = dataclasses.replace(partition, settings={"scheme": "dirichlet"})
    asked = SETTINGS | {"rows": [EXACT]}
    found = aggregate(asked, dataset, other, played.path, played.fitted, "cpu")
    assert all("group_kept" not in row for row in found)


@pytest.mark.parametrize("others", ["averaged", "local"])
def test_layers_that_are_not_generated_come_from_the_mean_or_stay(heads, others):
    study = heads.study(changed(layers=["head"], others=others))
    received = study.received(study.vectors)
    mean = heads.tensors["model/hidden.weight"].expand(CLIENTS, -1, -1)
    expected = mean if others == "averaged" else heads.tensors["others/hidden.weight"]
    assert torch.equal(received["hidden.weight"], expected)
    assert torch.equal(received["head.weight"], study.own["head.weight"])


# Bad input ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "settings", [changed(layers=["head"]), SETTINGS | {"model": "fedpac_cnn"}], ids=str
)
def test_uploads_of_another_form_are_refused(played, settings, monkeypatch):
    if settings["model"] == "fedpac_cnn":  # asks for larger images
        monkeypatch.setattr("fedgenbench.models.mlp.MLP.__init__", _wider)
        settings = SETTINGS
    with pytest.raises(UserError, match=r"uploads\.safetensors: .*another architecture"):
        played.study(settings)


def _wider(self, shape, classes):
    torch.nn.Module.__init__(self)
    self.hidden, self.head = torch.nn.Linear(36, 65), torch.nn.Linear(65, classes)


@pytest.mark.parametrize(
    ("name", "place", "message"),
    [
        ("buffer/vectors", (7, 3), "an upload of client 2 has a value that is not finite"),
        ("others/hidden.bias", (3, 1), "an upload of client 3 has a value that is not finite"),
        ("model/hidden.bias", (1,), "hidden.bias has a value that is not finite"),
    ],
)
def test_a_value_that_is_not_finite_is_named(heads, tmp_path, name, place, message):
    tensors = heads.tensors | {name: heads.tensors[name].clone()}
    tensors[name][place] = torch.nan
    save(tmp_path / "bad.safetensors", tensors, {})
    with pytest.raises(UserError, match=rf"bad\.safetensors: .*{message}"):
        Study(heads.settings, *heads.given, tmp_path / "bad.safetensors", "cpu")


def test_damaged_missing_and_foreign_files_are_refused(played, tmp_path):
    path = tmp_path / "bad.safetensors"

    def study():
        Study(SETTINGS, *played.given, path, "cpu")

    with pytest.raises(UserError, match=r"bad\.safetensors is missing or damaged"):
        study()
    path.write_bytes(played.path.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"bad\.safetensors is missing or damaged"):
        study()
    path.write_bytes(played.fitted.read_bytes())
    with pytest.raises(UserError, match=r"bad\.safetensors does not hold uploads"):
        study()


def test_uploads_of_another_number_of_clients_are_refused(played):
    with pytest.raises(UserError, match=r"uploads of 5 clients, the partition has 4"):
        Study(SETTINGS, *toy(clients=4), played.path, "cpu")


def test_too_few_uploads_for_the_autoencoder_are_refused(played):
    with pytest.raises(UserError, match="needs more than 15 uploads"):
        played.fit(changed(autoencoder="linear", components=15))


def test_a_generator_fitted_under_other_settings_is_refused(played):
    assert played.aggregate(EXACT, settings=changed(eta=0.2, inversion_steps=20))
    message = r"generator\.safetensors was fitted under other settings \(denoiser_steps\)"
    with pytest.raises(UserError, match=message):
        played.aggregate(EXACT, settings=changed(denoiser_steps=[13, 3]))
    state, notes = read(played.fitted, "cpu")
    path = played.folder / "other.safetensors"
    save(path, state, notes | {"seed": 2, "uploads": ""})
    with pytest.raises(UserError, match=r"other settings \(seed, uploads\)"):
        aggregate(SETTINGS | {"rows": [EXACT]}, *played.given, played.path, path, "cpu")


def test_a_generator_that_is_damaged_is_refused(played, tmp_path):
    state, notes = read(played.fitted, "cpu")
    path = tmp_path / "bad.safetensors"
    save(path, state | {"scale": torch.tensor(torch.inf)}, notes)
    with pytest.raises(UserError, match=r"bad\.safetensors: scale has a value that is not finite"):
        aggregate(SETTINGS | {"rows": [EXACT]}, *played.given, played.path, path, "cpu")


def test_a_denoiser_that_diverges_is_an_error(played, monkeypatch):
    monkeypatch.setattr(Generator, "fit", lambda self, buffer: float("nan"))
    with pytest.raises(UserError, match=r"uploads\.safetensors is not finite"):
        played.fit()


# Settings -------------------------------------------------------------------------------------------
def test_a_fit_has_the_runs_settings_with_its_own_over_them():
    generator = {"autoencoder": "linear", "components": 2}
    study = OneShotSettings.model_validate(
        {"fits": {"linear": {"generator": generator, "rows": [EXACT, PULLED]}}}
    )
    settings = study.of_fit("linear", SETTINGS)
    assert settings == changed(**generator) | {"rows": [EXACT, PULLED], "density": []}
    assert SETTINGS["method_settings"]["autoencoder"] == "none"


@pytest.mark.parametrize("name", ["layers", "buffer", "warmup", "latents"])
def test_a_fit_cannot_change_what_the_uploads_were_made_with(name):
    with pytest.raises(ValidationError, match=f"'{name}' is none of autoencoder, "):
        OneShotSettings.model_validate({"fits": {"a": {"generator": {name: 1}, "rows": [EXACT]}}})
