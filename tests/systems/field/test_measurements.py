"""What runs say, as the rows of scores, rounds, servers and runs."""

import numpy as np
from measured_jobs import RECORD, address, frames


def run(personal=(0.5, 1.0), audit=None):
    return RECORD | {
        "digest": "0123456789",
        "settings": {"rounds": 2, "engine": "sequential"},
        "rounds": [
            {"round": 1, "personal": [0.0, 0.5], "start": [0.1, 0.1]},
            {"round": 2, "refused": {"1": "not finite"}},
            {"round": 3, "personal": list(personal), "start": [0.2, 0.2]} | (audit or {}),
        ],
        "score": {"personal": list(personal)},
        "bytes_up": 10.0,
        "bytes_down": 12.0,
        "bytes_up_once": 3.0,
        "bytes_down_once": 0.0,
    }


def of_a_run(domains=None, **changes):
    return frames([(address("federate", "exp", "fedavg", 0), run(**changes))], {"exp": domains})


def test_runs_become_rows_per_client_and_their_mean():
    made = of_a_run(domains=["here", "there"])
    scores, rounds, runs = (made[name] for name in ("scores", "rounds", "runs"))
    assert scores[["client", "value"]].values.tolist() == [[-1, 0.75], [0, 0.5], [1, 1.0]]
    assert scores["domain"].fillna("all").tolist() == ["all", "here", "there"]
    assert scores[["experiment", "method", "seed", "metric"]].drop_duplicates().values.tolist() == [
        ["exp", "fedavg", 0, "personal"]
    ]
    assert set(rounds["round"]) == {1, 3}
    assert len(rounds) == 2 * 2 * 3
    mean = rounds[(rounds["client"] == -1) & (rounds["metric"] == "personal")]
    np.testing.assert_allclose(mean["value"], [0.25, 0.75])
    assert runs[["scale", "refused", "hardware"]].values.tolist() == [["smoke", 1, "x86-64 core"]]


def test_the_columns_of_runs_are_those_that_a_run_fills():
    (row,) = of_a_run()["runs"].to_dict("records")
    assert row == {
        "experiment": "exp",
        "settings": '{"engine": "sequential", "rounds": 2}',
        "method": "fedavg",
        "seed": 0,
        "scale": "smoke",
        "digest": "0123456789",
        "rounds": 2,
        "engine": "sequential",
        "device": "cpu",
        "hardware": "x86-64 core",
        "wall_seconds": 60.0,
        "cpu_seconds": 50.0,
        "peak_memory_bytes": 100,
        "started": "2026-01-01T00:00:00+00:00",
        "bytes_up": 10.0,
        "bytes_down": 12.0,
        "bytes_up_once": 3.0,
        "bytes_down_once": 0.0,
        "refused": 1,
        "torch": "2",
        "git_revision": None,
        "git_dirty": False,
    }


def test_runs_stay_apart_from_other_jobs():
    other = RECORD | {"digest": "9876543210", "settings": {}, "losses": [1.0], "images": 4}
    jobs = [
        (address("warm", "exp", "prompts", 0), other),
        (address("federate", "exp", "warmfed", 1), run(personal=(0.25, 0.75))),
        (address("federate", "exp", "fedavg", 0), run()),
    ]
    made = frames(jobs)
    assert made["runs"][["method", "seed", "rounds", "refused"]].values.tolist() == [
        ["warmfed", 1, 2, 1],
        ["fedavg", 0, 2, 1],
    ]
    assert made["runs"]["rounds"].dtype == "int64"
    means = made["scores"][made["scores"]["client"] == -1]
    assert means[["method", "value"]].values.tolist() == [["warmfed", 0.5], ["fedavg", 0.75]]


def test_what_a_server_reports_becomes_rows_of_the_clients_that_took_part():
    audit = {"clients": [4], "moved": [0.5], "generated": [0.25, 0.75], "loss": 2.0}
    server = of_a_run(audit={"server": audit})["server"]
    rows = server[["round", "name", "client", "value"]].values.tolist()
    assert sorted(rows) == [
        [3, "generated", 0, 0.25],
        [3, "generated", 1, 0.75],
        [3, "loss", -1, 2.0],
        [3, "moved", 4, 0.5],
    ]


def test_what_a_server_reports_without_naming_clients_is_of_all_of_them():
    audit = {"selection_share": [0.25, 0.5], "loss": 1.0}
    server = of_a_run(audit={"server": audit})["server"]
    assert server[["round", "name", "client", "value"]].values.tolist() == [
        [3, "selection_share", 0, 0.25],
        [3, "selection_share", 1, 0.5],
        [3, "loss", -1, 1.0],
    ]


def test_a_private_run_says_what_the_client_that_spent_most_has_spent():
    private = run() | {"epsilon": [1.5, 2.5], "delta": 1e-3}
    jobs = [
        (address("federate", "exp", "fedavg", 0), run()),
        (address("federate", "exp", "dp", 0), private),
    ]
    runs = frames(jobs, {"exp": None})["runs"].set_index("method")
    assert runs.loc["dp", ["epsilon", "delta"]].tolist() == [2.5, 1e-3]
    assert np.isnan(runs.loc["fedavg", "epsilon"])
