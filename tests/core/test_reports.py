"""A job's report in two parts: what its settings decide, and what was measured beside it."""

import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json
from fedgenbench.core.reports import run_file, save_report, whole_report

CONTENT = {"digest": "0123456789", "images": 4, "seconds_per_image": 0.5, "notes": ["memory ended"]}


@pytest.fixture
def report(tmp_path):
    """The file that stands for a job, not yet written."""
    return tmp_path / "seed0-0123456789/metrics.json"


def test_what_was_measured_lies_beside_the_report(report):
    save_report(report, CONTENT, {"wall_seconds": 2.0, "device": "cpu"})
    assert read_json(report).keys() == {"digest", "images", "checksum"}
    run = read_json(report.with_name("run.json"))
    assert (run["wall_seconds"], run["seconds_per_image"]) == (2.0, 0.5)
    measured = {"wall_seconds": 2.0, "device": "cpu"}
    together = {"report_sha256": run["report_sha256"]} | measured | CONTENT
    assert whole_report(report, "0123456789") == together


def test_other_times_give_an_equal_report(report):
    save_report(report, CONTENT, {"wall_seconds": 2.0})
    first = report.read_bytes()
    slower = CONTENT | {"seconds_per_image": 9.0, "notes": [], "shards_drawn": 1}
    save_report(report, slower, {"wall_seconds": 99.0})
    assert report.read_bytes() == first


def test_parts_that_do_not_belong_together_are_refused(report):
    save_report(report, CONTENT, {})
    with pytest.raises(UserError, match=r"metrics\.json was made by other code or settings"):
        whole_report(report, "9999999999")
    earlier = run_file(report).read_text()
    save_report(report, CONTENT | {"images": 5}, {})
    run_file(report).write_text(earlier)
    with pytest.raises(UserError, match=r"metrics\.json is not what .*run\.json was written"):
        whole_report(report, "0123456789")
    run_file(report).unlink()
    with pytest.raises(UserError, match=r"run\.json is missing"):
        whole_report(report, "0123456789")
