"""Progress in a log: a few lines, never silence at the end, sane guesses."""

import re

import pytest

from fedgenbench.core import progress as module
from fedgenbench.core.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test winds."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def play(clock, progress, first, last, seconds):
    for step in range(first, last + 1):
        clock.now += seconds
        progress(step, "50.0 %")


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_a_log_gets_a_line_now_and_then(clock, capsys):
    play(clock, Progress("run", 1000), 1, 1000, seconds=0.1)
    said = lines(capsys)
    assert 4 <= len(said) <= 6  # 100 seconds, one line every 20
    assert said[-1].startswith("run  1000/1000  50.0 %")


def test_the_last_step_is_always_told(clock, capsys):
    play(clock, Progress("run", 3), 1, 3, seconds=0.001)
    assert lines(capsys) == ["run  3/3  50.0 %  0 s left"]


def test_the_time_left_is_that_of_the_remaining_steps(clock, capsys):
    play(clock, Progress("run", 100, every_seconds=0), 1, 25, seconds=2.0)
    left = [int(re.search(r"(\d+) s left", line)[1]) for line in lines(capsys)]
    assert left == [2 * (100 - step) for step in range(1, 26)]


def test_a_resumed_run_counts_only_its_own_steps(clock, capsys):
    play(clock, Progress("run", 100, every_seconds=0), 91, 95, seconds=3.0)
    left = [int(re.search(r"(\d+) s left", line)[1]) for line in lines(capsys)]
    assert left == [27, 24, 21, 18, 15]


def test_a_person_at_a_terminal_sees_the_lines_of_a_job_whose_errors_go_to_a_log(
    clock, capsys, monkeypatch
):
    monkeypatch.setattr(module.sys.stdout, "isatty", lambda: True, raising=False)
    play(clock, Progress("run", 4), 1, 4, seconds=30.0)
    said = capsys.readouterr()
    assert said.err.splitlines()[:3] == said.out.splitlines()
    assert said.out.splitlines()[0] == "run  1/4  50.0 %  90 s left"
