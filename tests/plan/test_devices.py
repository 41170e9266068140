"""What a grid costs on GPUs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgenbench.plan.devices import makespan

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
