"""Manifests that notice an edit, and the time of interrupted attempts."""

import os
import signal
import subprocess
import sys

import pytest

from fedgenbench.core.files import read_json, write_json
from fedgenbench.core.products import forget_altered, write_manifest
from fedgenbench.core.provenance import Stopwatch


# Products -------------------------------------------------------------------------------------------
@pytest.fixture
def folder(tmp_path):
    """results/embedded/tables with a table, a measured one and, beside it, metrics.json."""
    folder = tmp_path / "results/embedded/tables"
    folder.mkdir(parents=True)
    files = [folder / "one.csv", folder / "measured_cost.csv", folder.parent / "metrics.json"]
    for file in files:
        file.write_text(file.name)
    write_manifest(folder / "tables-0123456789.json", files, {})
    return folder


def test_a_whole_product_is_left_alone(folder):
    assert forget_altered(folder.parents[1]) == []
    (folder / "measured_cost.csv").write_text("another machine's")
    (folder / "mine.txt").touch()
    assert forget_altered(folder.parents[1]) == []
    assert (folder / "tables-0123456789.json").exists()


@pytest.mark.parametrize("name", ["one.csv", "measured_cost.csv", "../metrics.json"])
@pytest.mark.parametrize("how", ["deleted", "edited"])
def test_an_altered_product_is_made_again(folder, name, how):
    if how == "deleted":
        (folder / name).unlink()
    elif name == "measured_cost.csv":
        return  # may be edited: it has no right value
    else:
        (folder / name).write_text("edited")
    (said,) = forget_altered(folder.parents[1])
    assert said == (
        f"{folder}: {name.removeprefix('../')} altered or deleted since it was made, so it is made "
        "again."
    )
    assert not (folder / "tables-0123456789.json").exists()
    assert forget_altered(folder.parents[1]) == []


@pytest.mark.parametrize("content", ["{", "[]", '{"files": {}}'])
def test_a_manifest_that_says_nothing_is_no_manifest(folder, content):
    (folder / "tables-0123456789.json").write_text(content)
    assert len(forget_altered(folder.parents[1])) == 1


# Time of attempts -----------------------------------------------------------------------------------
ATTEMPT = """
import json, sys, time
from pathlib import Path
from fedgenbench.core.provenance import Stopwatch
watch = Stopwatch(sys.argv[1], every_seconds=0.02)
kept = Path(sys.argv[1] + ".time.json")
Path(sys.argv[1]).touch()
before = json.loads(kept.read_text())["cpu_seconds"]
while json.loads(kept.read_text())["cpu_seconds"] < before + 0.3:
    sum(range(1000))
print("worked", flush=True)
time.sleep(60)
"""


def killed_attempt(checkpoint):
    with subprocess.Popen(
        [sys.executable, "-c", ATTEMPT, checkpoint], stdout=subprocess.PIPE
    ) as attempt:
        assert attempt.stdout.readline() == b"worked\n"
        attempt.send_signal(signal.SIGKILL)


def test_killed_attempts_count(tmp_path):
    checkpoint = tmp_path / "results/checkpoints/seed0-0123456789.safetensors"
    checkpoint.parent.mkdir(parents=True)
    for _ in range(2):
        killed_attempt(checkpoint)
    kept = read_json(f"{checkpoint}.time.json")
    watch = Stopwatch(checkpoint)
    found = watch.record("cpu")
    assert found["attempts"] == 3
    assert found["started"] == kept["started"]
    # Of each attempt at least what it had worked before the kill, wall clock and processor.
    assert found["wall_seconds"] >= kept["wall_seconds"] >= 2 * 0.25
    assert found["cpu_seconds"] >= kept["cpu_seconds"] >= 2 * 0.3
    assert found["peak_memory_bytes"] >= kept["peak_memory_bytes"] > 0
    checkpoint.unlink()
    watch.forget()
    assert os.listdir(checkpoint.parent) == []


def test_an_attempt_that_left_no_checkpoint_does_not_count(tmp_path):
    checkpoint = tmp_path / "shards-0123456789"
    write_json(f"{checkpoint}.time.json", {"attempts": 7, "wall_seconds": 900.0})
    watch = Stopwatch(checkpoint)
    assert watch.record("cpu")["attempts"] == 1
    assert watch.record("cpu")["wall_seconds"] < 60
    watch.forget()


def test_a_job_that_resumes_from_nothing_counts_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    watch = Stopwatch()
    assert watch.record("cpu")["attempts"] == 1
    watch.forget()
    assert list(tmp_path.iterdir()) == []
