"""Collecting runs, and the manifests of products: no result of another configuration gets in."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fedgenbench.errors import UserError
from fedgenbench.evaluation.collect import client_domains, collect
from fedgenbench.reporting.store import product
from fedgenbench.runtime.files import read_json, sha256_file, write_json

KEY = ("exp", "fedavg", 0)


def write_run(folder, digest="0123456789", personal=(0.5, 1.0)):
    settings = {"rounds": 2, "engine": "sequential"}
    rounds = [
        {"round": 1, "personal": [0.0, 0.5], "start": [0.1, 0.1]},
        {"round": 2, "refused": {"1": "not finite"}},
        {"round": 3, "personal": list(personal), "start": [0.2, 0.2]},
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
    scores, rounds, runs = read(write_run(tmp_path), domains=["here", "there"])
    assert scores[["client", "value"]].values.tolist() == [[-1, 0.75], [0, 0.5], [1, 1.0]]
    assert scores["domain"].fillna("all").tolist() == ["all", "here", "there"]
    assert set(rounds["round"]) == {1, 3}
    assert len(rounds) == 2 * 2 * 3
    mean = rounds[(rounds["client"] == -1) & (rounds["metric"] == "personal")]
    np.testing.assert_allclose(mean["value"], [0.25, 0.75])
    assert runs[["scale", "refused", "hardware"]].values.tolist() == [["smoke", 1, "a processor"]]


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
