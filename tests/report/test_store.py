"""Manifests of products, and pictures that have to be those that were collected."""

from types import SimpleNamespace

import pandas as pd
import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, sha256_file
from fedgenbench.report.results import Picture
from fedgenbench.report.store import product, shown_pictures, unchanged


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


def test_the_first_seeds_pictures_are_shown_and_have_to_be_the_same(tmp_path):
    asked = []
    for seed in (3, 4):
        path = tmp_path / f"{seed}.png"
        path.write_bytes(b"picture" + bytes([seed]))
        asked.append(("exp", seed, "grid", str(path), {"rows": [seed]}))
    (shown,) = shown_pictures(asked)
    first = tmp_path / "3.png"
    assert unchanged(dict(shown)) == Picture("exp", 3, "grid", str(first), {"rows": [3]})
    first.write_bytes(b"another")
    with pytest.raises(UserError, match=r"3\.png is not what the runs were collected with"):
        unchanged(dict(shown))
