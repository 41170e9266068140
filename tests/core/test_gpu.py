"""GPU leases: one job per device, freed by the kernel when a job dies."""

import contextlib
import itertools
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.core.gpu import JOBS_PER_GPU, jobs_per_gpu, lease, visible_gpus

HOLDER = """
import os, sys
from pathlib import Path
from fedgenbench.core.gpu import lease
with lease("auto", poll_seconds=0.05) as device:
    print(device, os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
    sys.stdin.read()
"""
TWO = "GPU 0: A (UUID: GPU-aa)\nGPU 1: A (UUID: GPU-bb)"
SLICED = (
    "GPU 0: A (UUID: GPU-aa)\n  MIG 1g Device 0: (UUID: MIG-a1)\n  MIG 1g Device 1: (UUID: MIG-a2)"
)
SCHEDULERS = ("SLURM_JOB_ID", "KUBERNETES_SERVICE_HOST")


@pytest.fixture(autouse=True)
def _no_scheduler(monkeypatch, tmp_path):
    """A bare host with locks of its own."""
    for name in (*SCHEDULERS, "CUDA_VISIBLE_DEVICES", JOBS_PER_GPU):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """``driver(listing)``: nvidia-smi prints that from now on; gives the PATH that finds it."""

    def install(listing, folder="driver"):
        (tmp_path / folder).mkdir()
        tool = tmp_path / folder / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\ncat <<'X'\n{listing}\nX\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path / folder), prepend=os.pathsep)
        return os.environ["PATH"]

    return install


@contextlib.contextmanager
def holder(**variables):
    """A process that holds a lease as soon as it can and says so."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
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


def test_two_jobs_get_two_gpus_and_a_third_waits_until_one_dies(driver):
    driver(TWO)
    with holder() as one, holder() as two, contextlib.ExitStack() as stack:
        first, second = one.stdout.readline().split(), two.stdout.readline().split()
        assert {first[0], second[0]} == {"cuda:0"}
        assert {first[1], second[1]} == {"GPU-aa", "GPU-bb"}
        three = stack.enter_context(holder())
        assert waits(three)
        os.kill(two.pid, signal.SIGKILL)
        assert three.stdout.readline().split() == ["cuda:0", second[1]]


def test_one_card_under_two_names_is_one_card(driver):
    driver(TWO)
    with holder(CUDA_VISIBLE_DEVICES="1") as one:
        assert one.stdout.readline().split() == ["cuda:0", "GPU-bb"]
        with holder(CUDA_VISIBLE_DEVICES="GPU-b") as two:
            assert waits(two)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_jobs_of_a_scheduler_do_not_wait_for_each_other(driver, name):
    # Each sees its own card as 0, and the folder of the locks is the node's.
    with holder(
        PATH=driver("GPU 0: A (UUID: GPU-cc)"), CUDA_VISIBLE_DEVICES="0", **{name: "101"}
    ) as one:
        assert one.stdout.readline().split() == ["cuda:0", "GPU-cc"]
        other = driver("GPU 0: A (UUID: GPU-dd)", "other")
        with holder(PATH=other, CUDA_VISIBLE_DEVICES="0", **{name: "102"}) as two:
            assert two.stdout.readline().split() == ["cuda:0", "GPU-dd"]


def test_two_allocations_may_share_a_card(driver):
    driver("GPU 0: A (UUID: GPU-cc)")
    with holder(SLURM_JOB_ID="101") as one, holder(SLURM_JOB_ID="102") as two:
        for process in (one, two):
            assert process.stdout.readline().split() == ["cuda:0", "GPU-cc"]
        with holder(SLURM_JOB_ID="101") as again:  # Snakemake within an allocation
            assert waits(again)


def test_small_jobs_share_devices_when_all_are_taken(driver):
    driver(TWO)
    with contextlib.ExitStack() as stack:
        four = [stack.enter_context(holder(**{JOBS_PER_GPU: "2"})) for _ in range(4)]
        given = [process.stdout.readline().split()[1] for process in four]
        assert sorted(given) == ["GPU-aa", "GPU-aa", "GPU-bb", "GPU-bb"]
        fifth = stack.enter_context(holder(**{JOBS_PER_GPU: "2"}))
        assert waits(fifth)
        os.kill(four[3].pid, signal.SIGKILL)
        assert fifth.stdout.readline().split()[1] == given[3]


def test_no_card_is_shared_while_another_is_idle(driver):
    driver(TWO)
    with holder(**{JOBS_PER_GPU: "2"}) as one:
        assert one.stdout.readline().split() == ["cuda:0", "GPU-aa"]
        with holder(**{JOBS_PER_GPU: "2"}) as two:
            assert two.stdout.readline().split() == ["cuda:0", "GPU-bb"]


@pytest.mark.parametrize("said", ["0", "-1", "two", "1.5", ""])
def test_a_number_of_jobs_that_is_none_is_refused(monkeypatch, said):
    monkeypatch.setenv(JOBS_PER_GPU, said)
    with pytest.raises(UserError, match=rf"{JOBS_PER_GPU}='{said}' .* set it to 1, 2"):
        jobs_per_gpu()


def test_a_finished_job_frees_its_gpu(tmp_path, driver, monkeypatch):
    driver(TWO)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    for _ in range(2):
        with lease("cuda", tmp_path) as device:
            assert (device, os.environ["CUDA_VISIBLE_DEVICES"]) == ("cuda:0", "GPU-bb")


@pytest.mark.parametrize("before", ["0,1", None])
def test_the_environment_is_restored_even_after_a_failure(tmp_path, driver, monkeypatch, before):
    driver(TWO)
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    with pytest.raises(ZeroDivisionError), lease("auto", tmp_path):  # noqa: PT012
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-aa"
        raise ZeroDivisionError
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


def test_cpu_takes_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with lease("cpu", tmp_path / "locks") as device:
        assert device == "cpu"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert not (tmp_path / "locks").exists()


@pytest.mark.parametrize("visible", ["0", "NoDevFiles", "GPU-af7b61d8", "-1", ""])
def test_auto_is_the_cpu_where_no_gpu_is_and_says_so(monkeypatch, capsys, visible):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with lease("auto") as device:
        assert device == "cpu"
    said = (
        f"CUDA_VISIBLE_DEVICES={visible}, but there is no nvidia-smi here, so no driver: this runs "
    )
    said += "on the CPU\n"
    assert capsys.readouterr().err == (said if visible not in ("-1", "") else "")


@pytest.mark.parametrize("visible", ["", "-1", "2"])
def test_cuda_without_a_gpu_says_what_to_do(driver, monkeypatch, visible):
    driver(TWO)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(UserError, match=r"device: cuda, but no GPU .* set device: auto or cpu"):
        lease("cuda").__enter__()


@pytest.mark.parametrize(
    ("listing", "allowed", "visible"),
    [
        (TWO, None, ["GPU-aa", "GPU-bb"]),
        (TWO, "1,0", ["GPU-bb", "GPU-aa"]),
        (TWO, "0,-1,1", ["GPU-aa"]),
        (TWO, "0,7,1", ["GPU-aa"]),
        (TWO, "0,0", ["GPU-aa"]),
        (TWO, "GPU-b, GPU-a", ["GPU-bb", "GPU-aa"]),
        (TWO, "NoDevFiles", []),
        (TWO, "", []),
        (SLICED, None, ["MIG-a1", "MIG-a2"]),
        (SLICED, "0", ["MIG-a1", "MIG-a2"]),
        (SLICED, "MIG-a2", ["MIG-a2"]),
        ("No devices found.", "0", []),
    ],
)
def test_visible_gpus_are_named_by_uuid(driver, monkeypatch, listing, allowed, visible):
    driver(listing)
    if allowed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    assert visible_gpus() == visible


def test_locks_that_cannot_be_written_are_an_error_that_says_where(driver, tmp_path):
    driver(TWO)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"could not lock a GPU in .*file/x.*set TMPDIR"):
        lease("auto", tmp_path / "file/x").__enter__()


FOUR = "\n".join(f"GPU {index}: A (UUID: GPU-{index}{index})" for index in range(4))
JOBS, SECONDS = 12, 2.0


def _job(folder, number):
    with lease("cuda", folder, poll_seconds=0.02):
        start = time.monotonic()
        time.sleep(SECONDS)
        said = f"{os.environ['CUDA_VISIBLE_DEVICES']} {start} {time.monotonic()}"
        (folder / f"{number}.txt").write_text(said)


def test_four_devices_are_busy_throughout_a_grid_of_equal_jobs(driver, tmp_path):
    """At least 95 % of the time from the first job's start to the last one's end.

    All jobs are forked at once, as those of an array may be, so that eight wait for a device.
    """
    driver(FOUR)
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_job, args=(tmp_path, number)) for number in range(JOBS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    said = [path.read_text().split() for path in tmp_path.glob("*.txt")]
    leases = [(gpu, float(start), float(end)) for gpu, start, end in said]
    assert len(leases) == JOBS
    by_device = {}
    for gpu, start, end in sorted(leases):
        by_device.setdefault(gpu, []).append((start, end))
    assert len(by_device) == 4
    for held in by_device.values():
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(held))
    busy = sum(end - start for _, start, end in leases)
    span = max(end for *_, end in leases) - min(start for _, start, _ in leases)
    assert busy / (4 * span) >= 0.95, f"{busy:.1f} s held of 4 x {span:.1f} s"
