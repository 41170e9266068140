"""``fedgenbench verify`` finds what is altered, and leaves everything as it is."""

from pathlib import Path

import numpy as np
import pytest

from fedgenbench.commands.plan import asked
from fedgenbench.core.artifacts import save
from fedgenbench.core.products import write_manifest
from fedgenbench.core.reports import save_report

TABLES = "results/embedded/tables"


@pytest.fixture
def made(folder):
    """A run, a job with an artifact, and a product, as they are left; gives their folders."""
    grid = asked(None, {})
    (run, *_), (uploads, *_) = grid.of_kind("federate"), grid.of_kind("uploads")
    save_report(run.metrics, {"digest": run.digest, "score": 0.5}, {"cpu": "x"})
    save(uploads.file("uploads"), "uploads", {"w": np.arange(4.0)}, {"n": 4})
    save_report(uploads.metrics, {"digest": uploads.digest, "n": 4}, {"cpu": "x"})
    table = Path(TABLES, "one.md")
    table.parent.mkdir(parents=True)
    table.write_text("| a |")
    write_manifest(table.with_name("tables-0123456789.json"), [table], {})
    return {"run": run.folder, "uploads": uploads.folder, "product": TABLES}


def test_what_is_as_recorded_passes(made, call):
    text = call("verify")
    assert "All 3 that are there are as recorded." in text
    counts = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line}
    assert counts["federate"] == ["4", "1", "0"]
    assert counts["uploads"] == ["2", "1", "0"]


def test_nothing_made_is_nothing_amiss(folder, call):
    assert "Nothing is there yet." in call("verify")


@pytest.mark.parametrize(
    ("part", "name", "old", "new", "says"),
    [
        ("run", "metrics.json", b"0.5", b"0.9", "does not match its checksum"),
        ("run", "run.json", b"sha256", b"sha255", "is not what"),
        ("uploads", "metrics.json", b'"n": 4', b'"n": 5', "does not match its checksum"),
        ("uploads", "uploads.safetensors", b"\x08@", b"\x08A", "does not match its checksum"),
        ("product", "one.md", b"a", b"b", "one.md: altered or deleted"),
    ],
)
def test_an_altered_file_is_named(made, call, part, name, old, new, says):
    path = Path(made[part], name)
    altered = path.read_bytes().replace(old, new)
    assert altered != path.read_bytes()
    path.write_bytes(altered)
    text = call("verify", status=1)
    assert says in text
    assert name in text
    assert path.read_bytes() == altered


def test_a_run_in_the_place_of_another_is_found(made, call):
    save_report(Path(made["run"], "metrics.json"), {"digest": "0000000000"}, {"cpu": "x"})
    assert "was made by the job 0000000000, not by" in call("verify", status=1)


def test_what_is_no_json_is_named(made, call):
    Path(made["run"], "metrics.json").write_text("[]")
    assert "metrics.json" in call("verify", status=1)
    Path(made["run"], "metrics.json").write_text("{")
    assert "metrics.json is not valid JSON" in call("verify", status=1)
