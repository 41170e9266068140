"""What FedLMG's jobs say, as rows, and what tables say of an experiment beside numbers."""

import pytest
from measured_jobs import RECORD, address, frames

from fedgenbench.systems.fedlmg.measurements import setups

MADE_BY = RECORD | {"digest": "0123456789", "wall_seconds": 30.0}
CLASSIFIERS = MADE_BY | {
    "settings": {"clients": {"models": ["mlp", "mini_vit"], "epochs": 20}},
    "losses": {"client0": [2.0, 0.5], "client1": [3.0, 1.0]},
    "own_test": [0.5, 0.75],
    "images": [10, 20],
    "parameters": [100, 150],
    "flops": [7, 8],
    "bytes": {"client0": 400, "client1": 600},
}
GUIDED = MADE_BY | {
    "settings": {
        "drawn": {
            "base": {"source": "models/foundation", "resolution": 32},
            "per_class": 3,
            "total_per_class": None,
            "sampler": {"steps": 6},
            "guidance": {"editing_steps": 1, "batch_norm": 0.1},
        },
        "upload_noise": 0.0,
    },
    "images": 12,
    "seconds_per_image": 0.5,
    "cross_entropy": [2.0, 1.5],
    "batch_norm": [9.0, 8.0],
    "skipped": {"0": 1, "1": 0},
    "gradients": {"0": 12, "1": 12},
}
SERVER = MADE_BY | {
    "settings": {
        "server": {"model": "bn_cnn", "trains": "whole", "statistics": "recalibrated"},
        "asked": ["base_strict"],
    },
    "rows": {"fedlmg_ft": {"accuracy": [0.25, 0.75], "losses": [1.0], "images": 12}},
    "likeness": [{"guided_copied": 0.125}, {"guided_copied": 0.25}],
}
RIVAL = MADE_BY | {
    "settings": {},
    "images": 12,
    "seconds_per_image": 0.5,
    "upload_bytes": {"0": 10, "1": 30},
    "client_seconds": {"0": 2.0, "1": 4.0},
}
DENSE = MADE_BY | {"settings": {}, "rows": {"dense": SERVER["rows"]["fedlmg_ft"]}}
ROUNDS = MADE_BY | {
    "settings": {"multi_round": {"rounds": 20}},
    "rows": {"fedavg": {"accuracy": [0.5, 0.25], "losses": [], "images": 0}},
}
DOMAIN = {"scheme": "domain"}


def values(content, kind, name):
    frame = frames([(address(kind, "exp", name, 2), content)])["fedlmg"]
    assert list(frame) == [
        *("experiment", "seed", "kind", "name", "row"),
        *("client", "step", "quantity", "value"),
    ]
    shown = "" if kind == "classifiers" else name
    places = frame[["experiment", "seed", "kind", "name"]].drop_duplicates()
    assert places.values.tolist() == [["exp", 2, kind, shown]]
    return {(r.row, r.client, r.step, r.quantity): r.value for r in frame.itertuples()}


def test_classifiers_become_rows_per_client():
    assert values(CLASSIFIERS, "classifiers", "all") == {
        ("client", 0, -1, "own_test"): 0.5,
        ("client", 1, -1, "own_test"): 0.75,
        ("client", -1, -1, "own_test"): 0.625,
        ("client", 0, -1, "images"): 10,
        ("client", 1, -1, "images"): 20,
        ("client", 0, -1, "parameters"): 100,
        ("client", 1, -1, "parameters"): 150,
        ("client", 0, -1, "flops"): 7,
        ("client", 1, -1, "flops"): 8,
        ("client", 0, -1, "bytes"): 400,
        ("client", 1, -1, "bytes"): 600,
        ("client", 0, -1, "last_loss"): 0.5,
        ("client", 1, -1, "last_loss"): 1.0,
        ("", -1, -1, "wall_seconds"): 30.0,
    }


def test_rivals_say_what_clients_send_and_dense_its_accuracy():
    assert values(RIVAL, "rival", "fgl") == {
        ("", -1, -1, "images"): 12,
        ("", -1, -1, "seconds_per_image"): 0.5,
        ("", 0, -1, "upload_bytes"): 10,
        ("", 1, -1, "upload_bytes"): 30,
        ("", 0, -1, "client_seconds"): 2.0,
        ("", 1, -1, "client_seconds"): 4.0,
        ("", -1, -1, "wall_seconds"): 30.0,
    }
    found = values(DENSE, "dense", "main")
    assert found["dense", -1, -1, "accuracy"] == 0.5
    assert found["dense", 1, -1, "accuracy"] == 0.75


def test_guidance_becomes_rows_per_gradient_and_client():
    assert values(GUIDED, "guided", "main") == {
        ("", -1, -1, "images"): 12,
        ("", -1, -1, "seconds_per_image"): 0.5,
        ("", -1, 0, "cross_entropy"): 2.0,
        ("", -1, 1, "cross_entropy"): 1.5,
        ("", -1, 0, "batch_norm"): 9.0,
        ("", -1, 1, "batch_norm"): 8.0,
        ("", 0, -1, "skipped"): 1,
        ("", 1, -1, "skipped"): 0,
        ("", 0, -1, "gradients"): 12,
        ("", 1, -1, "gradients"): 12,
        ("", -1, -1, "wall_seconds"): 30.0,
    }


def test_a_servers_rows_have_their_clients_and_their_mean():
    assert values(SERVER, "server", "no_editing") == {
        ("fedlmg_ft", 0, -1, "accuracy"): 0.25,
        ("fedlmg_ft", 1, -1, "accuracy"): 0.75,
        ("fedlmg_ft", -1, -1, "accuracy"): 0.5,
        ("fedlmg_ft", -1, -1, "images"): 12,
        ("likeness", 0, -1, "guided_copied"): 0.125,
        ("likeness", 1, -1, "guided_copied"): 0.25,
        ("", -1, -1, "wall_seconds"): 30.0,
    }


def test_without_jobs_of_fedlmg_there_are_no_setups():
    assert setups([], {}, {}) == {}
    assert setups([(address("federate", "exp", "fedavg", 0), MADE_BY)], {}, {}) == {}


def _guided(**changes):
    return GUIDED | {"settings": GUIDED["settings"] | changes}


def jobs(models=("mlp", "mini_vit"), **changes):
    """Two seeds of every job, with an ablation."""
    clients = CLASSIFIERS["settings"]["clients"] | {"models": list(models)}
    drawn = GUIDED["settings"]["drawn"]
    edited = drawn | {"guidance": drawn["guidance"] | {"batch_norm": 0.0}}
    other = drawn | {"base": {"source": "models/other", "resolution": 32}}
    running = SERVER["settings"]["server"] | {"statistics": "running"}
    running_row = SERVER | {"settings": SERVER["settings"] | {"server": running}}
    return [
        (address(kind, "exp", name, seed), content | changes)
        for seed in (2, 3)
        for content, kind, name in (
            (CLASSIFIERS | {"settings": {"clients": clients}}, "classifiers", "all"),
            (GUIDED, "guided", "main"),
            (GUIDED, "guided", "prompts"),
            (_guided(drawn=edited), "guided", "no_batch_norm"),
            (_guided(upload_noise=50.0), "guided", "noise_50"),
            (_guided(drawn=other), "guided", "base_other"),
            (CLASSIFIERS, "classifiers", "running"),
            (GUIDED, "guided", "running"),
            (ROUNDS, "rounds", "all"),
            (SERVER, "server", "main"),
            (running_row, "server", "running"),
        )
    ]


def test_a_setup_says_what_its_jobs_were_made_with():
    (setup,) = setups(jobs(), {"exp": DOMAIN}, {"exp": ["ink", "oil"]}).values()
    assert setup == {
        "setting": "different architectures",
        "names": ["ink", "oil"],
        "models": ["mlp", "mini_vit"],
        "trained": {"models": ["mlp", "mini_vit"], "epochs": 20},
        "server": {"model": "bn_cnn", "trains": "whole", "statistics": "recalibrated"},
        "drawn": {
            "base": {"source": "models/foundation", "resolution": 32},
            "per_class": 3,
            "total_per_class": None,
            "steps": 6,
        },
        "guidance": {"editing_steps": 1, "batch_norm": 0.1},
        "ablations": {
            "no_batch_norm": {"batch_norm": 0.0},
            "noise_50": {"upload_noise": 50.0},
            "base_other": {"base": "models/other"},
            "running": {"statistics": "running"},
        },
        "asked": ["base_strict"],
        "rounds": 20,
        "ablation_per_class": 3,
        "digests": {
            name: ["0123456789"] * 2
            for name in (
                *("classifiers", "guided main", "guided prompts", "guided no_batch_norm"),
                *("guided noise_50", "guided base_other", "classifiers running"),
                *("guided running", "rounds", "server main", "server running"),
            )
        },
        "hardware": ["x86-64 core"],
        "dirty": 0,
    }


@pytest.mark.parametrize(
    ("scheme", "setting"),
    [
        (DOMAIN, "feature skew"),
        ({"scheme": "class_blocks", "classes_per_client": 2, "stride": None}, "label skew"),
        ({"scheme": "class_blocks", "classes_per_client": 4, "stride": 2}, "overlapping labels"),
        ({"scheme": "dirichlet", "alpha": 0.1}, "label skew"),
        ({"scheme": "domain_dirichlet", "alpha": 1.0}, "number of clients"),
    ],
)
def test_the_split_decides_the_setting_where_all_architectures_are_one(scheme, setting):
    (setup,) = setups(jobs(["mlp"]), {"exp": scheme}, {"exp": None}).values()
    assert (setup["setting"], setup["models"]) == (setting, ["mlp", "mlp"])
    assert setup["names"] == ["client 0", "client 1"]


def test_a_gpu_and_uncommitted_changes_are_named():
    made = jobs(device="H100", git_dirty=True)
    (setup,) = setups(made, {"exp": DOMAIN}, {"exp": None}).values()
    assert (setup["hardware"], setup["dirty"]) == (["H100"], 22)
