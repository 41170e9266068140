"""No command of DVC deletes or changes what a run left behind, recorded or not."""

import shutil

import pytest
from scratch import contents

OUTPUTS = (
    *("data/raw", "data/prepared", "data/partitions"),
    *("results/runs", "results/foundation", "results/checkpoints"),
    *("results/logs", "results/smoke"),
    *("results/embedded", "results/embedded/tables", "results/embedded/report"),
)
COMMANDS = (
    ("repro",),
    ("exp", "run", "-n", "one", "-S", "forecast.start_seconds=5.0"),
    ("exp", "run", "-n", "two", "-S", "foundation.seed=1"),
    ("exp", "apply", "one"),
    ("checkout",),
    ("checkout", "--force"),
    ("pull",),
    ("pull", "--force"),
    ("commit", "--force"),
    ("gc", "--workspace", "--force"),
    ("gc", "--workspace", "--cloud", "--force"),
    ("exp", "remove", "--all-commits"),
    ("repro", "report"),
)


@pytest.fixture
def worked_in(recorded, tmp_path, sh):
    """A copy of the recorded repository with files of its user's own in every output folder."""
    folder = shutil.copytree(recorded, tmp_path / "project")
    store = shutil.copytree(recorded.with_name("store"), tmp_path / "store")
    sh(folder, "dvc", "remote", "modify", "-q", "store", "url", str(store))
    for place in OUTPUTS:
        (folder / place / "mine").mkdir(parents=True)
        (folder / place / "mine" / "work.txt").write_text("of hours\n")
    # Runs of settings that are not asked for any more, and a run that went on since the record.
    (run,) = (folder / "results/runs/fashion_mnist-10/fedavg").glob("seed0-*")
    shutil.copytree(run, run.with_name("seed0-0123456789"))
    (run / "run.json").write_text("{}\n")
    return folder


def kept(folder):
    """Checksums of all files below the output folders."""
    return contents(folder, "data", "results")


def test_no_command_of_dvc_touches_finished_work(worked_in, sh):
    # Snakemake that finds nothing to do: what is tried here is what DVC does by itself.
    (worked_in / "src/snakemake.py").touch()
    before = kept(worked_in)
    assert sum(path.endswith("mine/work.txt") for path in before) == len(OUTPUTS)
    for command in COMMANDS:
        sh(worked_in, "dvc", *command)
        assert kept(worked_in) == before, command
    sh.runtime(worked_in, "record")
    assert kept(worked_in) == before


def test_restore_touches_no_finished_work(worked_in, sh):
    before = kept(worked_in)
    sh.runtime(worked_in, "restore")
    assert kept(worked_in) == before
