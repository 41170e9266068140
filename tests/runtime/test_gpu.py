"""GPU leases: one job per device, freed by the kernel when a job dies."""

import contextlib
import os
import select
import signal
import subprocess
import sys

import pytest

from fedgenbench.errors import UserError
from fedgenbench.runtime import gpu
from fedgenbench.runtime.gpu import lease, visible_gpus

HOLDER = """
import os, sys
from pathlib import Path
from fedgenbench.runtime.gpu import lease
with lease("auto", Path(sys.argv[1]), poll_seconds=0.05) as device:
    print(device, os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def holder(folder):
    """A process that holds a lease as soon as it can and says so."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "3,5"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def waits(process, seconds=1.0):
    said, _, _ = select.select([process.stdout], [], [], seconds)
    return not said and process.poll() is None


def test_two_jobs_get_two_gpus_and_a_third_waits_until_one_dies(tmp_path):
    with holder(tmp_path) as one, holder(tmp_path) as two, contextlib.ExitStack() as stack:
        first, second = one.stdout.readline().split(), two.stdout.readline().split()
        assert {first[0], second[0]} == {"cuda:0"}
        assert {first[1], second[1]} == {"3", "5"}
        three = stack.enter_context(holder(tmp_path))
        assert waits(three)
        os.kill(two.pid, signal.SIGKILL)
        assert three.stdout.readline().split() == ["cuda:0", second[1]]


def test_a_finished_job_frees_its_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    for _ in range(2):
        with lease("cuda", tmp_path) as device:
            assert (device, os.environ["CUDA_VISIBLE_DEVICES"]) == ("cuda:0", "7")


@pytest.mark.parametrize("before", ["3,5", None])
def test_the_environment_is_restored_even_after_a_failure(tmp_path, monkeypatch, before):
    if before is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(gpu, "visible_gpus", lambda: ["0"])
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    with pytest.raises(ZeroDivisionError), lease("auto", tmp_path):  # noqa: PT012
        assert os.environ["CUDA_VISIBLE_DEVICES"] == (before or "0")[0]
        raise ZeroDivisionError
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


def test_cpu_takes_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with lease("cpu", tmp_path) as device:
        assert device == "cpu"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert list(tmp_path.iterdir()) == []


def test_auto_is_the_cpu_where_no_gpu_is_visible(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with lease("auto", tmp_path) as device:
        assert device == "cpu"


@pytest.mark.parametrize("visible", ["", "-1"])
def test_cuda_without_a_gpu_says_what_to_do(tmp_path, monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(UserError, match=r"device: cuda, but no GPU .* set device: auto or cpu"):
        lease("cuda", tmp_path).__enter__()


def test_a_machine_without_the_driver_has_no_gpu(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", "")
    assert visible_gpus() == []


def test_the_driver_is_asked_where_nothing_is_allotted(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho 'GPU 1: A (UUID: y)'\n")
    tool.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert visible_gpus() == ["0", "1"]
