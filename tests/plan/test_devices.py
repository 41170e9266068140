"""What a grid costs on GPUs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgenbench.commands.plan import asked
from fedgenbench.core.tracing import cost
from fedgenbench.plan.devices import forecast, makespan
from fedgenbench.systems.work import work

HOURS = {"a": 3.0, "b": 1.0, "c": 2.0, "d": 4.0}
BEFORE = {"a": [], "b": ["a"], "c": ["a"], "d": []}


@pytest.mark.parametrize(("devices", "hours"), [(1, 10.0), (2, 5.0), (256, 5.0)])
def test_jobs_wait_for_devices_and_for_each_other(devices, hours):
    # One: the sum. Two: a, then c, beside d, then b. More cannot help: a and c are one after the other.
    assert makespan(HOURS, BEFORE, devices) == hours


@given(st.lists(st.floats(0.1, 9), min_size=1, max_size=12), st.integers(1, 8), st.data())
@settings(max_examples=40, deadline=None)
def test_it_lies_between_what_is_possible_and_twice_that(lengths, devices, data):
    hours = {str(n): each for n, each in enumerate(lengths)}
    before = {
        str(n): [str(k) for k in range(n) if data.draw(st.booleans(), f"{k} before {n}")]
        for n in range(len(lengths))
    }
    ways: dict[str, float] = {}
    for job, needed in before.items():
        ways[job] = hours[job] + max((ways[each] for each in needed), default=0.0)
    least = max(sum(lengths) / devices, *ways.values())
    assert least <= makespan(hours, before, devices) * (1 + 1e-9)
    # Graham's bound of any list schedule.
    assert makespan(hours, before, devices) <= (2 - 1 / devices) * least * (1 + 1e-9)


def test_hours_are_operations_over_the_rate_and_memory_is_compared():
    only = {"experiments": ("fashion_mnist-10",), "methods": ("fedavg",), "seeds": ("0",)}
    grid = asked("paper", only, whole=True)
    (part,) = [each for job in grid.jobs.values() for each in work(job, grid)]
    flops = cost(part.program).flops / part.program.batch * part.images
    said = forecast(grid, tflops=flops / 1e12 / 3600 / 2.5, memory=0.001)
    (row,) = [line.split() for line in said.splitlines() if line.startswith("fashion_mnist-10")]
    # One job of 2.5 hours, on however many devices.
    assert row[1:] == ["1", f"{flops / 1e15:.1f}", *["2.5"] * 5]
    assert "and 1 programs that take less than 0.25 GiB" in said
    assert "Synthetic images on the disk: 0.0 GB." in said


def test_large_programs_are_held_against_the_memory():
    only = {"experiments": ("fashion_mnist-10",), "papers": ("pfedgpa",), "seeds": ("0",)}
    grid = asked("paper", only, whole=True)
    rows = [line for line in forecast(grid, 1.0, 4.0).splitlines() if "autoencoder step" in line]
    # 64 vectors of 117,066 weights take 6.5 GiB.
    assert [row.split()[-2:] for row in rows] == [["no", "39"]]
