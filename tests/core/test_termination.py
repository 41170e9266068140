"""A job that is told to end keeps what it has done."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.termination import GRACE_SECONDS, STATUS

JOB = """
import itertools, sys
import numpy as np
from fedgenbench.core import termination
from fedgenbench.core.checkpoint import Checkpoint

termination.GRACE_SECONDS = 1
termination.heed()
kept = Checkpoint(sys.argv[1], "job")
for step in itertools.count():
    print(step, flush=True)
    sys.stdin.readline()
    if int(sys.argv[2]) and (termination.told() or step % 1000 == 999):
        kept.put("part", {"step": np.array(step)}, {})
"""


@pytest.fixture
def start(tmp_path):
    def begin(checkpoints: int) -> subprocess.Popen:
        command = [sys.executable, "-c", JOB, tmp_path, str(checkpoints)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(command, text=True, **pipes)

    return begin


def test_it_ends_at_its_next_checkpoint(start, tmp_path):
    job = start(1)
    for step in range(3):
        assert job.stdout.readline() == f"{step}\n"
        if step == 2:
            job.send_signal(signal.SIGTERM)
        job.stdin.write("\n")
        job.stdin.flush()
    _, said = job.communicate(timeout=60)
    assert job.returncode == STATUS == 143
    assert said.startswith("told to end: what was done is kept")
    arrays, _ = Checkpoint(tmp_path, "job").get("part")
    assert arrays["step"] == 2


def test_without_a_checkpoint_it_ends_after_the_grace_time(start, tmp_path):
    job = start(0)
    assert job.stdout.readline() == "0\n"
    told = time.monotonic()
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=60) == -signal.SIGALRM
    assert time.monotonic() - told > 0.9
    assert not os.listdir(tmp_path)
    assert GRACE_SECONDS < 30  # what schedulers give
