"""A run killed at any moment ends with the bytes of an unbroken one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).parents[1] / "helpers/kill_driver.py"


# State of the server and of clients that take turns; and parts that never travel.
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("scaffold", {"weighting": "uniform"}),
        pytest.param("fedrep", {"body_epochs": 1}, marks=pytest.mark.slow),
    ],
)
def test_ten_kills_leave_no_trace(tmp_path, method, settings):
    done = subprocess.run(
        [sys.executable, DRIVER, tmp_path, method, json.dumps(settings)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["killed"] == 10
    first = told["first_rounds"]
    assert first == sorted(first)
    assert first[0] == 1
    assert first[-1] > 5  # it went on each time, and did not begin again
    whole, broken = told["sums"]
    assert whole == broken


IMAGES = Path(__file__).parents[1] / "helpers/kill_images.py"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adapter", "images", "guided"])
def test_twenty_kills_of_a_job_with_images_leave_no_trace(tmp_path, kind):
    done = subprocess.run(
        [sys.executable, IMAGES, tmp_path, kind, "20"],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["killed"] == 20
    assert told["finished"] > 0
    assert len(set(told["sums"])) == 1
    assert told["halves"] == []
