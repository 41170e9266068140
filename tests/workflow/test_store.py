"""Collecting runs, and the manifests of products: no result of another configuration gets in."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, sha256_file, write_json
from fedgenbench.core.reports import save_report
from fedgenbench.report.collect import client_domains, collect, study_frames
from fedgenbench.report.store import product

KEY = ("exp", "fedavg", 0)


def write_run(folder, digest="0123456789", personal=(0.5, 1.0), audit=None):
    settings = {"rounds": 2, "engine": "sequential"}
    rounds = [
        {"round": 1, "personal": [0.0, 0.5], "start": [0.1, 0.1]},
        {"round": 2, "refused": {"1": "not finite"}},
        {"round": 3, "personal": list(personal), "start": [0.2, 0.2]} | (audit or {}),
    ]
    write_json(
        folder / "metrics.json",
        {
            "digest": digest,
            "settings": settings,
            "rounds": rounds,
            "score": {"personal": list(personal)},
            "bytes_up": 10.0,
            "bytes_down": 12.0,
            "bytes_up_once": 3.0,
            "bytes_down_once": 0.0,
        },
    )
    write_json(
        folder / "run.json",
        {
            "digest": digest,
            "metrics_sha256": sha256_file(folder / "metrics.json"),
            "device": "cpu",
            "cpu": "a processor",
            "wall_seconds": 1.5,
            "cpu_seconds": 1.2,
            "peak_memory_bytes": 100,
            "versions": {"torch": "2"},
            "git_revision": None,
            "git_dirty": None,
            "started": "2026-01-01T00:00:00+00:00",
        },
    )
    return folder


def read(folder, domains=None, expected="0123456789"):
    return collect({KEY: folder}, {KEY: expected}, {"exp": domains}, "smoke")


def test_runs_become_rows_per_client_and_their_mean(tmp_path):
    frames = read(write_run(tmp_path), domains=["here", "there"])
    scores, rounds, runs = (frames[name] for name in ("scores", "rounds", "runs"))
    assert scores[["client", "value"]].values.tolist() == [[-1, 0.75], [0, 0.5], [1, 1.0]]
    assert scores["domain"].fillna("all").tolist() == ["all", "here", "there"]
    assert set(rounds["round"]) == {1, 3}
    assert len(rounds) == 2 * 2 * 3
    mean = rounds[(rounds["client"] == -1) & (rounds["metric"] == "personal")]
    np.testing.assert_allclose(mean["value"], [0.25, 0.75])
    assert runs[["scale", "refused", "hardware"]].values.tolist() == [["smoke", 1, "a processor"]]


def test_what_a_server_reports_becomes_rows_of_the_clients_that_took_part(tmp_path):
    audit = {"clients": [4], "moved": [0.5], "generated": [0.25, 0.75], "loss": 2.0}
    server = read(write_run(tmp_path, audit={"server": audit}))["server"]
    rows = server[["round", "name", "client", "value"]].values.tolist()
    assert sorted(rows) == [
        [3, "generated", 0, 0.25],
        [3, "generated", 1, 0.75],
        [3, "loss", -1, 2.0],
        [3, "moved", 4, 0.5],
    ]


def write_studies(folder, digest="0123456789"):
    row = {
        "rule": "ddim",
        "eta": 1.0,
        "start": 300,
        "trained": [0.5, 0.7],
        "group_kept": [True, False],
    }
    own = {"rule": "own", "eta": None, "start": None, "trained": [0.1, 0.2]}
    fit = dict.fromkeys(("loss", "held_out_loss", "seen_loss", "held_out_error"), 0.25)
    fit |= {name: {"train": [0.5], "test": [0.1, 0.3]} for name in ("uploads", "reconstructed")}
    new = {"arm": "guided", "steps": 5, "omega": 1.0, "round": 2, "stage": "trained"}
    local = new | {"arm": "local", "steps": None, "omega": None}
    contents = {
        "linear": {"digest": digest, "rows": [own, row]},
        "conv": {"digest": digest} | fit,
        "newcomers": {
            "digest": digest,
            "rows": [
                arm | {"client": c, "value": v}
                for arm in (new, local)
                for c, v in ((8, 0.2), (9, 0.6))
            ],
        },
    }
    for name, content in contents.items():
        save_report(folder / f"{name}.json", content, {"wall_seconds": 1.0})
    return [(str(folder / f"{name}.json"), "0123456789", "exp", 3, name) for name in contents]


def test_studies_become_tidy_rows(tmp_path):
    frames = study_frames(write_studies(tmp_path))
    weights, newcomers = frames["weights"], frames["newcomers"]
    assert set(weights["experiment"]) == {"exp"}
    assert set(weights["seed"]) == {3}
    trained = weights[weights["metric"] == "trained"]
    assert trained[["fit", "rule", "client", "value"]].values.tolist() == [
        *(["linear", "own", 0, 0.1], ["linear", "own", 1, 0.2]),
        *(["linear", "ddim", 0, 0.5], ["linear", "ddim", 1, 0.7]),
    ]
    assert trained["eta"].isna().tolist() == [True, True, False, False]
    assert weights[weights["metric"] == "group_kept"]["value"].tolist() == [1.0, 0.0]
    fit = weights[weights["rule"] == "fit"].set_index("metric")["value"]
    assert fit["reconstruction_test"] == pytest.approx(0.2)
    assert (fit["upload_train"], fit["held_out_error"]) == (0.5, 0.25)
    means = newcomers[newcomers["client"] == -1].set_index("arm")
    assert means["value"].to_dict() == pytest.approx({"guided": 0.4, "local": 0.4})
    assert means["omega"].isna().to_dict() == {"guided": False, "local": True}
    assert len(newcomers) == 6


def test_a_study_of_other_code_or_settings_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"linear\.json was made by other code or settings"):
        study_frames(write_studies(tmp_path, digest="9999999999"))


def test_without_studies_the_tables_are_empty():
    assert all(frame.empty for frame in study_frames([]).values())


def test_a_run_of_other_code_or_settings_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"made by other code or settings \(digest 0123456789") as e:
        read(write_run(tmp_path / "run"), expected="9999999999")
    assert str(tmp_path / "run") in str(e.value)
    assert "expected 9999999999" in str(e.value)


@pytest.mark.parametrize("old", [b"0.5", b'"rounds": 2'])
def test_altered_metrics_are_refused(tmp_path, old):
    folder = write_run(tmp_path)
    content = (folder / "metrics.json").read_bytes()
    assert old in content
    (folder / "metrics.json").write_bytes(content.replace(old, old[:-1] + b"7", 1))
    with pytest.raises(UserError, match=r"metrics\.json is not what .*run\.json was written with"):
        read(folder)


def test_a_run_json_without_its_facts_is_refused(tmp_path):
    folder = write_run(tmp_path)
    write_json(folder / "run.json", {})
    with pytest.raises(UserError, match="delete the folder and run again"):
        read(folder)


def test_a_missing_run_is_named(tmp_path):
    with pytest.raises(UserError, match=r"metrics\.json is missing"):
        read(tmp_path)


def test_clients_have_domains_where_a_scheme_deals_by_them():
    card = {"domains": ["a", "b"]}
    assert client_domains({"scheme": "domain"}, card) == ["a", "b"]
    shards = {"scheme": "domain_shards", "clients_per_domain": 2}
    assert client_domains(shards, card) == ["a", "a", "b", "b"]
    assert client_domains({"scheme": "fedpac"}, card) is None


# Manifests --------------------------------------------------------------------------------------
def results(digest="0123456789"):
    columns = {"experiment": ["exp"], "method": ["fedavg"], "seed": [0], "digest": [digest]}
    return SimpleNamespace(runs=pd.DataFrame(columns))


def make(folder, name, *files):
    with product(folder / name, results()) as made:
        for file in files:
            (folder / file).write_text(file)
            made.append(folder / file)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_manifest_lists_files_and_runs(tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    make(folder, "tables-aaaaaaaaaa.json", "one.csv")
    manifest = read_json(folder / "tables-aaaaaaaaaa.json")
    assert manifest["files"] == {"one.csv": sha256_file(folder / "one.csv")}
    assert manifest["runs"] == {"exp/fedavg/seed0": "0123456789"}


def test_a_new_manifest_removes_the_old_one_and_what_it_alone_lists(tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "mine.txt").write_text("put here by hand")
    make(folder, "tables-aaaaaaaaaa.json", "one.csv", "gone.csv")
    make(folder, "tables-bbbbbbbbbb.json", "one.csv")
    assert names(folder) == ["mine.txt", "one.csv", "tables-bbbbbbbbbb.json"]


def test_a_product_that_fails_leaves_no_manifest(tmp_path):
    # Else a return to the earlier configuration would find its manifest beside half-new files.
    folder = tmp_path / "tables"
    folder.mkdir()
    make(folder, "tables-aaaaaaaaaa.json", "one.csv")
    with pytest.raises(ZeroDivisionError), product(folder / "tables-bbbbbbbbbb.json", results()):
        raise ZeroDivisionError
    assert names(folder) == []


def test_a_damaged_old_manifest_is_replaced(tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "tables-aaaaaaaaaa.json").write_text("{")
    make(folder, "tables-bbbbbbbbbb.json", "one.csv")
    assert names(folder) == ["one.csv", "tables-bbbbbbbbbb.json"]
