"""What FedLMG's jobs report, as rows, and what tables say of an experiment beside numbers."""

import pandas as pd
import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.core.reports import save_report
from fedgenbench.report.collect import FEDLMG, fedlmg_frame, fedlmg_setups, summary

MADE_BY = {"digest": "0123456789", "wall_seconds": 30.0, "git_dirty": False}
ON_CPU = {"device": "cpu", "cpu": "x86-64 core"}
CLASSIFIERS = MADE_BY | {
    "settings": {"clients": {"models": ["mlp", "mini_vit"], "epochs": 20}},
    "losses": {"client0": [2.0, 0.5], "prox0": [2.0, 0.25], "client1": [3.0, 1.0]},
    "own_test": [0.5, 0.75],
    "images": [10, 20],
    "bytes": {"client0": 400, "prox0": 400, "client1": 600},
}
GUIDED = MADE_BY | {
    "settings": {
        "drawn": {
            "base": {"source": "models/foundation", "resolution": 32},
            "per_class": 3,
            "sampler": {"steps": 6},
            "guidance": {"editing_steps": 1, "batch_norm": 0.1},
        }
    },
    "images": 12,
    "seconds_per_image": 0.5,
    "cross_entropy": [2.0, 1.5],
    "batch_norm": [9.0, 8.0],
    "skipped": {"0": 1, "1": 0},
    "gradients": {"0": 12, "1": 12},
}
SERVER = MADE_BY | {
    "settings": {"server": {"model": "bn_cnn", "trains": "whole"}},
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
DOMAIN = {"scheme": "domain"}


def source(tmp_path, content, kind, name="", seed=2, digest="0123456789"):
    path = tmp_path / f"{kind}_{name}_{seed}.json"
    save_report(path, content, {})
    return (str(path), digest, "exp", seed, kind, name)


def values(tmp_path, content, kind, name=""):
    frame = fedlmg_frame([source(tmp_path, content, kind, name)])
    assert list(frame) == list(FEDLMG)
    places = frame[["experiment", "seed", "kind", "name"]].drop_duplicates()
    assert places.values.tolist() == [["exp", 2, kind, name]]
    return {(r.row, r.client, r.step, r.quantity): r.value for r in frame.itertuples()}


def test_classifiers_become_rows_per_client(tmp_path):
    assert values(tmp_path, CLASSIFIERS, "classifiers") == {
        ("client", 0, -1, "own_test"): 0.5,
        ("client", 1, -1, "own_test"): 0.75,
        ("client", -1, -1, "own_test"): 0.625,
        ("client", 0, -1, "images"): 10,
        ("client", 1, -1, "images"): 20,
        ("client", 0, -1, "bytes"): 400,
        ("client", 1, -1, "bytes"): 600,
        ("prox", 0, -1, "bytes"): 400,
        ("client", 0, -1, "last_loss"): 0.5,
        ("client", 1, -1, "last_loss"): 1.0,
        ("prox", 0, -1, "last_loss"): 0.25,
        ("", -1, -1, "wall_seconds"): 30.0,
    }


def test_rivals_say_what_clients_send_and_dense_its_accuracy(tmp_path):
    assert values(tmp_path, RIVAL, "rival", "fgl") == {
        ("", -1, -1, "images"): 12,
        ("", -1, -1, "seconds_per_image"): 0.5,
        ("", 0, -1, "upload_bytes"): 10,
        ("", 1, -1, "upload_bytes"): 30,
        ("", 0, -1, "client_seconds"): 2.0,
        ("", 1, -1, "client_seconds"): 4.0,
        ("", -1, -1, "wall_seconds"): 30.0,
    }
    found = values(tmp_path, DENSE, "dense", "main")
    assert found["dense", -1, -1, "accuracy"] == 0.5
    assert found["dense", 1, -1, "accuracy"] == 0.75


def test_guidance_becomes_rows_per_gradient_and_client(tmp_path):
    assert values(tmp_path, GUIDED, "guided", "main") == {
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


def test_a_servers_rows_have_their_clients_and_their_mean(tmp_path):
    assert values(tmp_path, SERVER, "server", "no_editing") == {
        ("fedlmg_ft", 0, -1, "accuracy"): 0.25,
        ("fedlmg_ft", 1, -1, "accuracy"): 0.75,
        ("fedlmg_ft", -1, -1, "accuracy"): 0.5,
        ("fedlmg_ft", -1, -1, "images"): 12,
        ("likeness", 0, -1, "guided_copied"): 0.125,
        ("likeness", 1, -1, "guided_copied"): 0.25,
        ("", -1, -1, "wall_seconds"): 30.0,
    }


def test_reports_of_other_settings_unknown_kinds_and_twins_are_refused(tmp_path):
    other = source(tmp_path, SERVER, "server", "main", digest="9999999999")
    with pytest.raises(UserError, match=r"main_2\.json was made by other code or settings"):
        fedlmg_frame([other])
    with pytest.raises(UserError, match="unknown kind 'waiter': use one of classifiers, guided"):
        fedlmg_frame([source(tmp_path, SERVER, "waiter")])
    one = source(tmp_path, SERVER, "server", "main")
    with pytest.raises(UserError, match="not the only one of its kind, seed and name"):
        fedlmg_frame([one, one])


def test_without_reports_there_is_nothing():
    assert fedlmg_frame([]).empty
    assert list(fedlmg_frame([])) == list(FEDLMG)
    assert fedlmg_setups([], {}, {}) == {}


def sources(tmp_path, models=("mlp", "mini_vit"), **changes):
    """Two seeds of every job, with an ablation."""
    clients = CLASSIFIERS["settings"]["clients"] | {"models": list(models)}
    drawn = GUIDED["settings"]["drawn"]
    edited = drawn | {"guidance": drawn["guidance"] | {"batch_norm": 0.0}}
    found = []
    for seed in (2, 3):
        for content, kind, name in (
            (CLASSIFIERS | {"settings": {"clients": clients}}, "classifiers", ""),
            (GUIDED, "guided", "main"),
            (GUIDED, "guided", "prompts"),
            (GUIDED | {"settings": {"drawn": edited}}, "guided", "no_batch_norm"),
            (SERVER, "server", "main"),
        ):
            made = content | ON_CPU | changes
            found.append(source(tmp_path, made, kind, name, seed))
    return found


def test_a_setup_says_what_its_jobs_were_made_with(tmp_path):
    (setup,) = fedlmg_setups(sources(tmp_path), {"exp": DOMAIN}, {"exp": ["ink", "oil"]}).values()
    assert setup == {
        "setting": "different architectures",
        "names": ["ink", "oil"],
        "models": ["mlp", "mini_vit"],
        "trained": {"models": ["mlp", "mini_vit"], "epochs": 20},
        "server": {"model": "bn_cnn", "trains": "whole"},
        "drawn": {
            "base": {"source": "models/foundation", "resolution": 32},
            "per_class": 3,
            "steps": 6,
        },
        "guidance": {"editing_steps": 1, "batch_norm": 0.1},
        "ablations": {"no_batch_norm": {"batch_norm": 0.0}},
        "ablation_per_class": 3,
        "digests": {
            name: ["0123456789"] * 2
            for name in (
                *("classifiers", "guided main", "guided prompts", "guided no_batch_norm"),
                "server main",
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
    ],
)
def test_the_split_decides_the_setting_where_all_architectures_are_one(tmp_path, scheme, setting):
    listing = sources(tmp_path, ["mlp"])
    (setup,) = fedlmg_setups(listing, {"exp": scheme}, {"exp": None}).values()
    assert (setup["setting"], setup["models"]) == (setting, ["mlp", "mlp"])
    assert setup["names"] == ["client 0", "client 1"]


def test_a_gpu_and_uncommitted_changes_are_named(tmp_path):
    listing = sources(tmp_path, device="H100", git_dirty=True)
    (setup,) = fedlmg_setups(listing, {"exp": DOMAIN}, {"exp": None}).values()
    assert (setup["hardware"], setup["dirty"]) == (["H100"], 10)


def test_the_summary_holds_the_servers_means_over_clients_and_seeds(tmp_path):
    better = SERVER | {"rows": {"fedlmg_ft": {"accuracy": [0.5, 1.0], "images": 12}}}
    listing = [
        source(tmp_path, SERVER, "server", "main", 0),
        source(tmp_path, better, "server", "main", 1),
        source(tmp_path, SERVER, "server", "no_editing", 0),
    ]
    key = {"experiment": "grid", "method": "fedavg", "seed": 0, "metric": "global", "client": -1}
    # Accuracy before local training is in the tables, but none of what two runs are compared by.
    scores = pd.DataFrame([key | {"value": 0.5}, key | {"metric": "start", "value": 0.2}])
    metrics, curves = summary(scores, scores.assign(round=1), fedlmg_frame(listing))
    assert metrics == {
        "grid": {"fedavg": {"global": 0.5}},
        "exp": {"fedlmg_ft": {"global": 0.625}, "no_editing/fedlmg_ft": {"global": 0.5}},
    }
    assert curves.empty  # no personal accuracy
