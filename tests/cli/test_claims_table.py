"""``fedgenbench claims`` reads the right runs and shows each verdict."""

import os
from pathlib import Path

import pytest

from fedgenbench.commands.plan import asked
from fedgenbench.report.verdicts import Claim


@pytest.fixture
def read(monkeypatch):
    """The folders that were read; each paper then has one claim, with the verdict supported."""
    folders = []

    def results(folder):
        folders.append(folder)

    def judge(claims, _results):
        id = claims[0].entry.id
        return [Claim(id, "It helps.", "Table 1", "supported", "Decisive: 2.0 points.")]

    monkeypatch.setattr("fedgenbench.systems.collected.read_results", results)
    monkeypatch.setattr("fedgenbench.report.verdicts.judge", judge)
    return folders


def collected(name, time):
    path = Path("results/embedded", name, "context.json")
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    os.utime(path, (time, time))
    return path.parent


def test_the_present_runs_are_judged_without_a_remark(folder, read, call):
    name = f"collected-{asked(None, {}).product_digest('collect')}"
    present = collected(name, 1)
    collected("collected-0000000000", 2)
    text = call("claims", "--evidence")
    assert read == [present]
    assert "Note:" not in text
    assert text.count("supported           ") == 3
    assert "Decisive: 2.0 points." in text
    assert text.endswith("3 claims: 3 supported\n")


def test_else_the_last_ones_with_a_remark(folder, read, call):
    collected("collected-0000000001", 1)
    last = collected("collected-0000000000", 2)
    text = call("claims")
    assert read == [last]
    assert f"Note: {last} is of other settings or code than those here" in text
    assert "Decisive" not in text
