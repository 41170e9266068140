"""What every method must do; a new file below federated/methods is picked up by itself."""

import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load, save
from tiny import (
    SETTINGS,
    assert_close,
    assert_equal,
    flat,
    make_federation,
    make_task,
)

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.federated.method import METHODS, method_class

pytestmark = pytest.mark.parametrize("name", METHODS)

# Three of the four clients take part in a round: idle clients, unequal sizes and short batches at once.
OPTIONS = {"rounds": 3, "participation": 0.75}


@cache
def played(name, engine="sequential"):
    federation = make_federation(name, engine=engine, **OPTIONS)
    federation.run()
    return federation


def rounds(name):
    """The entries of the rounds that were played; 0 is before the first one."""
    return [entry for entry in played(name).history if entry["round"]]


def assert_same_run(left, right):
    assert left.history == right.history
    assert_equal(left.clients, right.clients)
    assert_equal(left.server, right.server)


def test_two_runs_are_equal_to_the_bit(name):
    again = make_federation(name, **OPTIONS)
    again.run()
    assert_same_run(played(name), again)


@pytest.mark.parametrize("engine", ["sequential", "vmap"])
def test_a_killed_run_resumes_to_the_bits_of_an_unbroken_one(name, engine, tmp_path):
    options = OPTIONS | {
        "engine": engine,
        "checkpoint": Checkpoint(tmp_path, "run"),
        "checkpoint_seconds": 0,
    }

    def die(round_, entry):
        if round_ == 2:  # after the checkpoint of round 1, before that of round 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_federation(name, **options).run(die)
    resumed = make_federation(name, **options)
    resumed.run()
    assert_same_run(played(name, engine), resumed)


def test_engines_agree(name):
    left, right = played(name), played(name, "vmap")
    assert_close(left.clients, right.clients)
    assert_close(left.server, right.server)
    for a, b in zip(left.history, right.history, strict=True):
        assert a.keys() == b.keys()
        for key in a.keys() - {"server"}:
            np.testing.assert_allclose(a[key], b[key], atol=1e-12)
        # Server networks work in float32.
        ours, theirs = a.get("server", {}), b.get("server", {})
        assert ours.keys() == theirs.keys()
        for key in ours:
            np.testing.assert_allclose(ours[key], theirs[key], atol=1e-5)


def test_states_survive_safetensors_and_keep_their_type(name):
    federation = played(name)
    for slots in (federation.clients, federation.server):
        tensors = {key: t.contiguous() for key, t in flat(slots).items()}
        back = load(save(tensors))
        assert all(torch.equal(back[key], t) for key, t in tensors.items())
        assert all(t.dtype == torch.float64 for t in slots["model"].values())
        assert not any("/" in role for role in slots)


def test_only_what_the_documentation_says_travels(name):
    sizes = {key: t.numel() for key, t in make_task().initial_state().items()}
    whole = sum(sizes.values())
    head = sizes["head.weight"] + sizes["head.bias"]
    norm = sum(size for key, size in sizes.items() if key.startswith("norm."))
    parameters = whole - sizes["norm.running_mean"] - sizes["norm.running_var"]
    classes, width = make_task().initial_state()["head.weight"].shape
    by_class = classes * width
    # Batch norm's means and variances go once more each way, for all clients' images together.
    again = whole - parameters
    # (down, up) in numbers per client and round where it is not the whole model each way
    table = {
        "local": (0, 0),
        "centralised": (0, 0),
        "scaffold": (whole + again + parameters, whole + again + parameters),
        "fedbn": (whole - norm, whole - norm),
        "fedper": (whole + again - head, whole + again - head),
        "fedrep": (whole + again - head, whole + again - head),
        "fedbabu": (whole + again - head, whole + again - head),
        "lg_fedavg": (head, head),
        "fedpac": (whole + again + by_class + classes, whole + again + 2 * by_class + classes + 1),
        "pfedhn": (parameters, parameters),
        # The server has trained the aggregate on images of its own, whose statistics it takes.
        "fgl": (whole, whole),
        "warmfed": (whole, whole),
    }
    down, up = table.get(name, (whole + again, whole + again))
    for entry in rounds(name):
        assert (entry["bytes_down"], entry["bytes_up"]) == (8 * down, 8 * up)


def test_what_is_kept_has_the_statistics_of_its_weights(name):
    federation = played(name)
    task, data, server = federation.method.task, federation.data, federation.server["model"]
    kept = federation.clients
    settled = federation.engine.recalibrated(kept, data.train)
    assert_close(kept, settled)  # each client took part in some round
    if name not in ("local", "centralised", "fedbn", "lg_fedavg", "pfedhn"):
        last = torch.cat(
            [data.train[client] for client in federation.participants(federation.round)]
        )
        rows = data.synthetic if federation.method.refine() else last
        features = torch.nn.functional.conv2d(data.images(rows), server["conv.weight"]).numpy()
        for kind, function in (("mean", np.mean), ("var", np.var)):
            expected = function(features, (0, 2, 3))
            np.testing.assert_allclose(server[f"norm.running_{kind}"], expected, atol=1e-12)
    assert set(task.buffers) == {"norm.running_mean", "norm.running_var"}


def test_scores_are_accuracies_of_every_client(name):
    for entry in rounds(name):
        assert {"start", "trained", "personal"} <= entry.keys()
        for metric in ("start", "trained", "personal", "global"):
            if metric in entry:
                assert len(entry[metric]) == 4
                assert all(0 <= value <= 1 for value in entry[metric])


def test_settings_are_required_described_and_typed(name):
    settings = method_class(name).Settings
    good = SETTINGS[name]
    settings.model_validate(good)
    with pytest.raises(ValidationError):
        settings.model_validate(good | {"no_such_key": 1})
    for key, field in settings.model_fields.items():
        assert field.is_required()
        assert field.description
        with pytest.raises(ValidationError):
            settings.model_validate({k: v for k, v in good.items() if k != key})
        for wrong in ("1", None, -1, [1]):
            with pytest.raises(ValidationError):
                settings.model_validate(good | {key: wrong})


def test_it_tells_where_it_comes_from(name):
    cls = method_class(name)
    assert cls.label
    assert cls.family in ("control", "global", "personalised")
    assert cls.source
    assert cls.__doc__


@pytest.fixture(scope="module")
def modules_after_import():
    code = (
        "import sys; from fedgenbench.federated.method import METHODS, method_class\n"
        "for name in METHODS:\n"
        "    method_class(name)\n"
        "    print(name, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return dict(line.split() for line in out.stdout.splitlines())


def test_importing_it_leaves_torch_alone(name, modules_after_import):
    assert modules_after_import[name] == "False"
