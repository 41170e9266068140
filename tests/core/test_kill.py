"""A run killed at any moment ends with the bytes of an unbroken one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HELPERS = Path(__file__).parents[1] / "helpers"


def printed(driver, *arguments, timeout):
    """What a driver says that ends well."""
    done = subprocess.run(
        [sys.executable, HELPERS / driver, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# State of the server and of clients that take turns; and parts that never travel.
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("scaffold", {"weighting": "uniform"}),
        pytest.param("fedrep", {"body_epochs": 1}, marks=pytest.mark.slow),
    ],
)
def test_ten_kills_leave_no_trace(tmp_path, method, settings):
    said = json.loads(
        printed("kill_driver.py", tmp_path, method, json.dumps(settings), timeout=300)
    )
    assert said["killed"] == 10
    first = said["first_rounds"]
    assert first == sorted(first)
    assert first[0] == 1
    assert first[-1] > 5  # it went on each time, and did not begin again
    whole, broken = said["sums"]
    assert whole == broken


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adapter", "images", "guided"])
def test_twenty_kills_of_a_job_with_images_leave_no_trace(tmp_path, kind):
    lines = printed("kill_images.py", tmp_path, kind, "20", timeout=1200).splitlines()
    said = json.loads(lines[-1])
    assert said["killed"] == 20
    assert said["finished"] > 0
    assert len(set(said["sums"])) == 1
    assert said["halves"] == []
