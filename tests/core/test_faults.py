"""Disks that are full or read-only, and clocks that jump: nothing that was kept is lost."""

import datetime
import os
import subprocess

import numpy as np
import pytest

from fedgenbench.core import provenance
from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, write_json


def mount(*words):
    return subprocess.run(["mount", *map(str, words)], capture_output=True, check=False).returncode


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 512 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.getuid() or mount("-t", "tmpfs", "-o", "size=512k", "tmpfs", place):
        pytest.skip("file systems are mounted by root alone")
    yield place
    subprocess.run(["umount", place], check=True)


def part(step, numbers=1000):
    return {"step": np.array(step), "weights": np.full(numbers, step, np.float32)}


def test_a_full_disk_keeps_the_last_checkpoint_and_takes_the_next(small_disk):
    kept = Checkpoint(small_disk / "job", "one")
    kept.put("part", part(1), {})
    (small_disk / "filler").write_bytes(bytes(480_000))
    with pytest.raises(UserError, match=r"could not write .*part.* free some space"):
        kept.put("part", part(2, 20_000), {})
    assert kept.get("part")[0]["step"] == 1
    assert not [path for path in (small_disk / "job").iterdir() if path.name.startswith(".")]
    (small_disk / "filler").unlink()
    kept.put("part", part(2, 20_000), {})
    assert kept.get("part")[0]["step"] == 2


def test_read_only_results_are_named_and_can_be_read(small_disk):
    kept = Checkpoint(small_disk / "job", "one")
    kept.put("part", part(1), {})
    write_json(small_disk / "metrics.json", {"accuracy": 0.5})
    assert mount("-o", "remount,ro", small_disk) == 0
    with pytest.raises(UserError, match=r"could not write .*part.*Read-only file system"):
        kept.put("part", part(2), {})
    with pytest.raises(UserError, match=r"could not write .*metrics\.json"):
        write_json(small_disk / "metrics.json", {"accuracy": 0.6})
    assert kept.get("part")[0]["step"] == 1
    assert read_json(small_disk / "metrics.json") == {"accuracy": 0.5}


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_jumps_changes_no_duration(tmp_path, monkeypatch, days):
    watch = provenance.Stopwatch(tmp_path / "job")

    class Jumped(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.now(tz) + datetime.timedelta(days)

    monkeypatch.setattr(provenance, "datetime", Jumped)
    found = watch.record("cpu")
    watch.forget()
    assert 0 <= found["wall_seconds"] < 60
    assert found["cpu_seconds"] > 0
    assert found["ended"][:4] != found["started"][:4]
