"""A fresh clone gets the recorded results back without computing anything."""

import shutil

import pytest
import scratch
from scratch import PRODUCTS, contents, planned

RESULTS = ("data/prepared", "data/partitions", "results/runs", "results/embedded/tables")
RUN = "results/runs/fashion_mnist-10"


def test_a_clone_has_the_results_and_nothing_to_do(recorded, clone, sh):
    assert not (clone / "results/runs").exists()
    # A remark in the code is no reason to refuse.
    with open(clone / "src/fedgenbench/federated/rounds.py", "a", encoding="utf-8") as file:
        file.write("\n# a remark\n")
    assert "Snakemake has nothing to do" in sh.runtime(clone, "restore")
    assert contents(clone, *RESULTS) == contents(recorded, *RESULTS)
    assert planned(clone) == {}
    # A changed setting is seen and said.
    scratch.write_params(clone, scratch.read_params(clone) | {"confidence": 0.9})
    assert planned(clone) == PRODUCTS
    said = sh.runtime(clone, "restore", ok=False)
    assert "the settings or the code ask for others" in said
    assert "  params.yaml: confidence modified\n" in said
    assert "`make reproduce` makes it" in said


def test_a_download_without_git_is_restored_too(recorded, clone, sh):
    shutil.rmtree(clone / ".git")
    assert "Snakemake has nothing to do" in sh.runtime(clone, "restore")
    assert contents(clone, *RESULTS) == contents(recorded, *RESULTS)


def test_what_is_nowhere_is_named_with_the_way_out(clone, sh):
    sh(clone, "dvc", "remote", "remove", "-q", "store")
    shutil.rmtree(clone / ".git")
    said = sh.runtime(clone, "restore", ok=False)
    assert "not all that was recorded is to be had" in said
    assert "  data/partitions/fashion_mnist-10/seed0-" in said
    assert "and 4 more" in said  # of two prepared files, two partitions, and four runs of two files
    assert ".dvc/cache (no DVC remote is configured)" in said
    assert "`dvc remote add -d <name> <place>` and restore again, or let `make reproduce`" in said


def test_what_is_in_place_stays_and_what_was_altered_is_named(clone, sh):
    sh.runtime(clone, "restore")
    one, other = sorted((clone / RUN).rglob("metrics.json"))[:2]
    one.unlink()
    one.write_text("better\n")
    other.unlink()
    said = sh.runtime(clone, "restore", ok=False)
    assert f"  {one.relative_to(clone)}\nMove them away" in said
    assert one.read_text() == "better\n"
    one.unlink()
    sh.runtime(clone, "restore")
    assert planned(clone) == {}


def test_an_altered_product_is_named(clone, sh):
    (clone / "results/embedded/tables/personalised.csv").write_text("better\n")
    (clone / "results/embedded/tables/mine.csv").write_text("no product\n")
    said = sh.runtime(clone, "restore", ok=False)
    assert "stay as they are:\n  results/embedded/tables/personalised.csv\nMove" in said


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_restored_results_are_no_links_into_a_cache(clone, sh, kind):
    # As people with one large cache for all have it.
    sh(clone, "dvc", "config", "--local", "cache.type", kind)
    sh.runtime(clone, "restore")
    cache = {path.stat().st_ino for path in (clone / ".dvc/cache/files/md5").rglob("*")}
    results = [path for place in RESULTS for path in (clone / place).rglob("*") if path.is_file()]
    assert not [path for path in results if path.is_symlink() or path.stat().st_ino in cache]


def test_a_folder_without_records_says_how_to_make_them(tmp_path, sh):
    for name in ("src", "params.yaml"):
        source = scratch.REPOSITORY / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, tmp_path / name)
    said = sh.runtime(tmp_path, "restore", ok=False)
    assert said.strip() == (
        "recorded/embedded.dvc is missing, so nothing was recorded at scale embedded: "
        "run `make reproduce`"
    )
