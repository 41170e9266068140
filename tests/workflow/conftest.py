import shutil

import pytest
import scratch
from filelock import FileLock


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id):
    """A copy of the workflow after its first run, for reading only. All test processes share it."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder if worker_id == "master" else folder.parent) / "finished"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            building = scratch.make(folder.with_name("building"))
            said = scratch.snakemake(building)
            (building / "first.txt").write_text(said, encoding="utf-8")
            building.rename(folder)
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished workflow, file times included, to be worked on."""
    return shutil.copytree(finished, tmp_path / "copy")
