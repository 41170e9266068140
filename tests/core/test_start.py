"""Starting Snakemake: a dead run's lock goes, a living one's never; what a user should know before."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time

import pytest

from fedgenbench.commands import start
from fedgenbench.commands.start import remarks, started
from fedgenbench.core.errors import UserError

SNAKEMAKE = """
import shutil, sys
print("snakemake", *sys.argv[1:], flush=True)
if "--unlock" in sys.argv:
    shutil.rmtree(".snakemake/locks")
if "--wait" in sys.argv:
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project's folder that a run of this machine was killed in; a stand-in for Snakemake."""
    (tmp_path / "stand_in/snakemake").mkdir(parents=True)
    (tmp_path / "stand_in/snakemake/__main__.py").write_text(SNAKEMAKE)
    (tmp_path / "stand_in/snakemake/__init__.py").touch()
    path = [str(tmp_path / "stand_in"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    project = tmp_path / "my project"
    (project / ".snakemake/locks").mkdir(parents=True)
    monkeypatch.chdir(project)
    (project / ".snakemake/locks/0.output.lock").write_text("results/a.json\n")
    started("cpu", local=True, cores=2)
    return project


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fedgenbench.commands.start", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@contextlib.contextmanager
def process(*command):
    with subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as alive:
        try:
            yield alive
        finally:
            alive.kill()


def locked(folder):
    return (folder / ".snakemake/locks/0.output.lock").exists()


def test_the_lock_of_a_killed_run_goes_and_snakemake_starts(folder):
    done = run("--quiet", "paper")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "A killed run left its lock on this folder; nothing is alive any more: unlocked.",
        "snakemake --quiet paper",
    ]
    assert not locked(folder)
    assert run("again").stdout == "snakemake again\n"


def test_the_lock_of_a_living_run_or_of_its_orphaned_jobs_stays(folder):
    with process("-c", "input()", ".snakemake/scripts/tmp.federate.py") as job:
        while not os.path.exists(f"/proc/{job.pid}/cwd"):
            time.sleep(0.01)
        done = run("paper")
        assert done.returncode == 2
        assert "Another run works in this folder, or jobs of a killed one still do" in done.stderr
        assert f"process {job.pid}: " in done.stderr
        assert ".snakemake/scripts/tmp.federate.py" in done.stderr
    assert locked(folder)


def test_a_process_of_another_folder_does_not_count(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with process("-c", "input()", "snakemake"):
        monkeypatch.chdir(folder)
        assert run("paper").returncode == 0


def test_two_starts_at_once_are_one(folder):
    with process("-m", "fedgenbench.commands.start", "--wait") as first:
        assert b"killed run" in first.stdout.readline()
        assert first.stdout.readline() == b"snakemake --wait\n"
        done = run("paper")
        assert (done.returncode, done.stdout) == (2, "")
        assert "Another run works in this folder" in done.stderr


@pytest.mark.parametrize(
    ("holder", "said"),
    [
        ({"host": "elsewhere", "local": True}, "a run on elsewhere. If it is dead: snakemake --u"),
        ({"host": socket.gethostname(), "local": False}, "a cluster has; they may be alive. Look"),
        (None, "before it said where it runs. If it is dead: snakemake --unlock"),
    ],
)
def test_a_lock_that_may_be_alive_elsewhere_stays(folder, holder, said):
    record = folder / ".snakemake/fedgenbench-run.json"
    record.unlink() if holder is None else record.write_text(json.dumps(holder))
    done = run("paper")
    assert done.returncode == 2
    assert said in done.stderr
    assert locked(folder)


def test_a_record_older_than_the_lock_is_another_runs(folder):
    os.utime(folder / ".snakemake/fedgenbench-run.json", (1, 1))
    assert "before it said where it runs" in run("paper").stderr
    assert locked(folder)


def test_what_a_user_should_know_before_jobs_start(monkeypatch):
    monkeypatch.setattr(start, "cpu_count", lambda: 4)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert remarks("auto", 4) == remarks("cpu", None) == []
    (said,) = remarks("auto", 64)
    assert said.startswith(
        "64 cores were asked for, but this process may use 4 (a container's quota"
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    (said,) = remarks("auto", 2)
    assert said == (
        "CUDA_VISIBLE_DEVICES=0, but there is no nvidia-smi here, so no driver: this runs on the CPU."
    )
    assert remarks("cpu", 2) == []
    (said,) = remarks("cuda", 2)
    assert said.startswith("device: cuda, but no GPU is visible here")


def test_no_core_at_all_stops_a_local_run_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="--cores 0 leaves no core"):
        started("cpu", local=True, cores=0)
    started("cpu", local=False, cores=0)
    started("cpu", local=True, cores=None)


def test_a_gpu_that_is_not_there_stops_a_local_run_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    started("cuda", local=False, cores=2)
    with pytest.raises(UserError, match="device: cuda, but no GPU"):
        started("cuda", local=True, cores=2)
