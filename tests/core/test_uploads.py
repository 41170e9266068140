"""What tensors of clients are asked, wherever they come from."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedgenbench.core.uploads import form_fault, value_fault, value_faults


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (3, 4), elements=st.floats(width=32)),
    st.floats(1e-3, 1e6),
)
def test_what_is_refused_is_numpys_not_finite_or_too_large(values, largest):
    rows = values.astype(np.float64)
    finite = np.isfinite(rows).all(1)
    with np.errstate(all="ignore"):
        rms = np.sqrt((rows**2).mean(1))
    faults = value_faults({"w": torch.from_numpy(values)}, largest)
    for row in range(3):
        if not finite[row]:
            assert faults[row] == "w is not finite"
        elif abs(rms[row] / largest - 1) > 1e-5:
            assert (row in faults) == (rms[row] > largest)


def test_without_a_bound_a_norm_may_overflow():
    assert value_faults({"w": torch.full((1, 9), 3e38)}, math.inf) == {}
    assert "mean square" in value_fault({"w": torch.full((9,), 3e38)})


def test_half_precision_is_measured_in_single():
    assert value_fault({"w": torch.full((4000,), 300.0, dtype=torch.float16)}) is None


def test_a_variance_below_zero_is_no_variance():
    assert value_fault({"n.running_var": torch.tensor([1.0, -1e-6])}) == (
        "n.running_var has a variance below zero"
    )
    assert value_fault({"n.weight": torch.tensor([1.0, -1e-6])}) is None


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({}, "has w"),
        ({"w": torch.ones(2), "v": torch.ones(2)}, "has v"),
        ({"w": torch.ones(3)}, r"(3,) torch.float32, expected (2,) torch.float32"),
        ({"w": torch.ones(2).double()}, "torch.float64, expected"),
        ({"w": [1.0, 1.0]}, "no dense tensor but list"),
        ({"w": torch.ones(2).to_sparse()}, "no dense tensor"),
    ],
)
def test_a_form_is_names_shapes_and_types(sent, said):
    expected = {"w": torch.empty(2, device="meta")}
    assert said in form_fault(sent, expected)
    assert form_fault({"w": torch.ones(2)}, expected) is None
