"""A fresh clone gets the recorded results back without computing anything."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import scratch
from scratch import PRODUCTS, contents, planned

RESULTS = ("data/prepared", "data/partitions", "results/runs", "results/embedded/tables")


@pytest.fixture(scope="module")
def sh(tmp_path_factory):
    """Runs a command in a folder, away from the user's settings of Git and DVC."""
    home = tmp_path_factory.mktemp("home")
    people = {
        f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    environment = {
        **os.environ,
        **people,
        "HOME": str(home),
        "DVC_SITE_CACHE_DIR": str(home / "dvc"),
    }
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def run(folder, *command, ok=True):
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment | {"PYTHONPATH": str(folder / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def recorded(finished, once, sh):
    """A repository with finished results, recorded by this repository's own DVC phases."""

    def build(base):
        base.mkdir()
        folder = base / "origin"
        shutil.copytree(finished, folder, ignore=shutil.ignore_patterns(".snakemake", "*.txt"))
        for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
            shutil.copy2(scratch.REPOSITORY / name, folder / name)
        sh(folder, "git", "init", "-q")
        sh(folder, "dvc", "init", "-q")
        shutil.copy2(scratch.REPOSITORY / ".dvc/config", folder / ".dvc/config")
        # As the phase does: this grid has no studies.
        for name in ("fedlmg", "newcomers", "synthesis", "weights"):
            (folder / "results" / name).mkdir()
        sh(folder, "dvc", "commit", "--force", "-q")
        sh(folder, "dvc", "remote", "add", "-q", "--default", "store", "../store")
        sh(folder, "dvc", "push", "-q")
        sh(folder, "git", "add", "-A")
        sh(folder, "git", "commit", "-qm", "Results")

    return once("recorded", build) / "origin"


@pytest.fixture
def clone(recorded, tmp_path, sh):
    sh(tmp_path, "git", "clone", "-q", str(recorded), "clone")
    store = str(recorded.with_name("store"))
    sh(tmp_path / "clone", "dvc", "remote", "modify", "-q", "store", "url", store)
    return tmp_path / "clone"


def restore(sh, clone, ok=True):
    said = sh(clone, sys.executable, "-m", "fedgenbench.runtime.restore", ok=ok)
    assert "Traceback" not in said
    return said


def test_a_clone_has_the_results_and_nothing_to_do(recorded, clone, sh):
    assert not (clone / "results/runs").exists()
    # A remark in the code is no reason to refuse.
    with open(clone / "src/fedgenbench/federated/rounds.py", "a", encoding="utf-8") as file:
        file.write("\n# a remark\n")
    assert "Snakemake has nothing to do" in restore(sh, clone)
    assert contents(clone, *RESULTS) == contents(recorded, *RESULTS)
    assert planned(clone) == {}
    # A changed setting is seen and said.
    scratch.write_params(clone, scratch.read_params(clone) | {"confidence": 0.9})
    assert planned(clone) == PRODUCTS
    said = restore(sh, clone, ok=False)
    assert "the settings or the code ask for others" in said
    assert "report, params.yaml: confidence modified" in said
    assert "`make reproduce` makes it" in said


def test_what_is_nowhere_is_named_with_the_way_out(clone, sh):
    sh(clone, "dvc", "remote", "remove", "-q", "store")
    said = restore(sh, clone, ok=False)
    for line in ("data, data/prepared: ", "data, data/partitions: ", "runs, results/runs: "):
        assert line in said
    assert "results/embedded/tables: " not in said  # these are in Git
    assert ".dvc/cache (no DVC remote is configured)" in said
    assert "`dvc remote add -d <name> <place>`, or let `make reproduce` compute it" in said


def test_an_altered_result_is_named(clone, sh):
    (clone / "results/embedded/tables/personalised.csv").write_text("better\n")
    said = restore(sh, clone, ok=False)
    assert "report, results/embedded/tables: modified" in said


def test_a_folder_without_records_says_how_to_make_them(tmp_path, sh):
    said = restore(
        sh, shutil.copytree(scratch.REPOSITORY / "src", tmp_path / "src").parent, ok=False
    )
    assert said.strip() == "dvc.lock is missing, so nothing was recorded here: run `make reproduce`"
