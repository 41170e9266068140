import shutil

import pytest
import recorded as recording
import scratch
from filelock import FileLock


@pytest.fixture(scope="session")
def once(tmp_path_factory, worker_id):
    """``once(name, build)``: a folder that ``build(folder)`` makes, shared by all test processes."""
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent

    def get(name, build):
        with FileLock(base / f"{name}.lock"):
            if not (base / name).exists():
                build(base / f"{name}-building")
                (base / f"{name}-building").rename(base / name)
        return base / name

    return get


@pytest.fixture(scope="session")
def finished(once):
    """A copy of the workflow after its first run, for reading only."""

    def build(folder):
        said = scratch.snakemake(scratch.make(folder))
        (folder / "first.txt").write_text(said, encoding="utf-8")

    return once("finished", build)


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished workflow, file times included, to be worked on."""
    return shutil.copytree(finished, tmp_path / "copy")


@pytest.fixture(scope="session")
def sh(tmp_path_factory):
    """Runs commands away from the user's settings of Git and DVC."""
    return recording.Shell(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def recorded(finished, once, sh):
    """A repository with finished results, recorded by this repository's own DVC phases."""

    def build(base):
        base.mkdir()
        recording.make(finished, base, sh)

    return once("recorded", build) / "origin"


@pytest.fixture
def clone(recorded, tmp_path, sh):
    """A fresh clone of it, which knows the store that its results were pushed to."""
    sh(tmp_path, "git", "clone", "-q", str(recorded), "clone")
    store = str(recorded.with_name("store"))
    sh(tmp_path / "clone", "dvc", "remote", "modify", "-q", "store", "url", store)
    return tmp_path / "clone"
