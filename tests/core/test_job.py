"""The frame of every workflow script: log, messages, exit status, and the code it was planned with."""

import contextlib
import os
from types import SimpleNamespace

import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.core.job import job
from fedgenbench.plan.grid import job_code


@pytest.fixture
def snakemake(tmp_path):
    return SimpleNamespace(log=[str(tmp_path / "logs/rule.log")], rule="toy", params={})


@contextlib.contextmanager
def frame(snakemake):
    """The job; standard error is descriptor 2, as it is outside of pytest."""
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(open(2, "w", 1, errors="backslashreplace", closefd=False))
        stack.enter_context(contextlib.redirect_stderr(stream))
        stack.enter_context(job(snakemake))
        yield


def read_log(snakemake):
    with open(snakemake.log[0], encoding="utf-8") as file:
        return file.read()


def test_a_job_logs_its_standard_error(snakemake, capfd):
    with frame(snakemake):
        os.write(2, b"from C\n")
    os.write(2, b"after\n")
    assert read_log(snakemake) == "from C\n"
    assert capfd.readouterr().err == "after\n"


def test_a_user_error_is_shown_and_logged_without_traceback(snakemake, capfd):
    with pytest.raises(SystemExit) as ended, frame(snakemake):
        raise UserError("client 3 is missing: put it there")
    assert ended.value.code == 2
    assert capfd.readouterr().err.strip() == "toy: client 3 is missing: put it there"
    assert read_log(snakemake) == "client 3 is missing: put it there\n"


def test_a_files_name_that_is_no_text_is_shown(snakemake, capfd):
    name = os.fsdecode(b"caf\xe9.jpg")
    with pytest.raises(SystemExit) as ended, frame(snakemake):
        raise UserError(f"{name} is no image")
    assert ended.value.code == 2
    assert capfd.readouterr().err.strip() == "toy: caf\\udce9.jpg is no image"
    assert read_log(snakemake) == "caf\\udce9.jpg is no image\n"


def test_a_bug_is_shown_in_a_line_and_logged_with_its_traceback(snakemake, capfd):
    with pytest.raises(SystemExit) as ended, frame(snakemake):
        raise KeyError("x")
    assert ended.value.code == 1
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line == f"toy: KeyError: 'x' (see {snakemake.log[0]})"
    assert "Traceback" in read_log(snakemake)


def test_a_job_starts_with_the_code_it_was_planned_with(snakemake, tmp_path, monkeypatch, capfd):
    (tmp_path / "workflow_scripts").mkdir()
    script = tmp_path / "workflow_scripts/toy.py"
    script.write_text("from fedgenbench.core.streams import stream\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    snakemake.params = {"code": job_code("toy")}
    with frame(snakemake):
        pass
    script.write_text("from fedgenbench.core.streams import stream  # the same\n", encoding="utf-8")
    with frame(snakemake):
        pass
    script.write_text("from fedgenbench.core.streams import stream\nstream(0)\n", encoding="utf-8")
    with pytest.raises(SystemExit) as ended, frame(snakemake):
        pytest.fail("the job ran")
    assert ended.value.code == 2
    assert "workflow_scripts/toy.py, or of a module that it imports, was edited" in (
        capfd.readouterr().err
    )
