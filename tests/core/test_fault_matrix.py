"""The matrix of faults names tests that exist."""

import re
from pathlib import Path

import pytest

import fault_matrix

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("fault", fault_matrix.FAULTS)
def test_the_tests_of_a_fault_are_there(fault):
    for test in fault_matrix.FAULTS[fault]:
        path, _, name = test.partition("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^def {name or 'test_'}", text, re.MULTILINE), test


def test_an_unknown_fault_is_named():
    with pytest.raises(SystemExit, match="no fault is called fire; there are: SIGKILL"):
        fault_matrix.main(["fire"])
