"""What the server refuses and how it averages."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tiny import assert_equal

from fedgenbench.core.errors import UserError
from fedgenbench.federated.server import (
    admit,
    finite_faults,
    nbytes,
    row_of,
    shape_fault,
    stack_slots,
    weighted_mean,
)

numbers = st.floats(-1e6, 1e6, width=32)


@settings(max_examples=50, deadline=None)
@given(st.data(), st.integers(1, 6))
def test_the_mean_is_numpys_in_float64(data, clients):
    values = data.draw(arrays(np.float32, (clients, 3), elements=numbers))
    raw = data.draw(arrays(np.float64, clients, elements=st.floats(0.01, 1)))
    weights = raw / raw.sum()
    mean = weighted_mean({"w": torch.from_numpy(values)}, torch.from_numpy(weights))["w"]
    assert mean.dtype == torch.float32
    expected = (weights[:, None] * values.astype(np.float64)).sum(0)
    np.testing.assert_allclose(mean, expected, rtol=1e-6, atol=1e-9)


def test_small_contributions_are_not_lost_beside_large_ones():
    values = torch.tensor([1e8, 1.0, -1e8])  # a float32 sum gives 0
    mean = weighted_mean({"w": values}, torch.ones(3))["w"]
    assert mean.item() == 1.0


@pytest.mark.parametrize("clients", [3, 6, 7, 10, 49])
def test_the_mean_of_equal_counters_is_that_counter(clients):
    # Six times a sixth of 3 is 2.9999999999999996 in float64.
    weights = torch.full((clients,), 1 / clients, dtype=torch.float64)
    for count in (1, 3, 7, 1000):
        mean = weighted_mean({"batches": torch.full((clients, 2), count)}, weights)["batches"]
        assert (mean.dtype, mean.tolist()) == (torch.int64, [count, count])


def test_the_mean_of_one_client_is_that_client():
    values = torch.randn(1, 50)
    assert torch.equal(weighted_mean({"w": values}, torch.ones(1))["w"], values[0])


def uploads(count=3):
    return [{"model": {"w": torch.full((2,), float(k)), "b": torch.zeros(1)}} for k in range(count)]


def bad(kind):
    upload = uploads(1)[0]
    model = upload["model"]
    if kind == "nan":
        model["w"][1] = float("nan")
    elif kind == "inf":
        model["w"][0] = float("inf")
    elif kind == "infinities that cancel":
        model["w"][:] = torch.tensor([float("inf"), -float("inf")])
    elif kind == "shape":
        model["w"] = torch.zeros(3)
    elif kind == "type":
        model["w"] = torch.zeros(2, dtype=torch.float64)
    elif kind == "missing":
        del model["b"]
    elif kind == "extra":
        model["c"] = torch.zeros(1)
    elif kind == "role":
        del upload["model"]
    return upload


BAD = ["nan", "inf", "infinities that cancel", "shape", "type", "missing", "extra", "role"]


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_upload_is_left_out_and_the_rest_aggregate_as_if_it_were_not_there(kind):
    rows = uploads()
    rows[1] = bad(kind)
    stacked, good, refused = admit(rows, uploads()[0]["model"], [4, 7, 9], "skip")
    assert good == [0, 2]
    assert list(refused) == [7]
    others = [uploads()[0], uploads()[2]]
    assert_equal(stacked, stack_slots(others))


@pytest.mark.parametrize("kind", BAD)
def test_the_first_client_is_not_believed_for_being_first(kind):
    rows = [bad(kind), *uploads()[1:]]
    _, good, refused = admit(rows, uploads()[0]["model"], [4, 7, 9], "skip")
    assert good == [1, 2]
    assert list(refused) == [4]


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_upload_stops_the_run_and_names_the_client(kind):
    rows = uploads()
    rows[2] = bad(kind)
    with pytest.raises(UserError, match="client 9"):
        admit(rows, uploads()[0]["model"], [4, 7, 9], "stop")


def test_skipping_everybody_is_an_error():
    rows = [bad("nan"), bad("shape")]
    with pytest.raises(UserError, match="no good upload is left"):
        admit(rows, uploads()[0]["model"], [0, 1], "skip")


def test_good_uploads_are_taken_as_they_are():
    stacked, good, refused = admit(uploads(), uploads()[0]["model"], [0, 1, 2], "stop")
    assert (good, refused) == ([0, 1, 2], {})
    assert_equal(stacked, stack_slots(uploads()))


def test_faults_name_the_tensor():
    assert "w" in shape_fault(bad("shape"), uploads()[0])
    assert "b" in shape_fault(bad("missing"), uploads()[0])
    assert shape_fault(uploads()[0], uploads()[0]) is None
    faults = finite_faults(stack_slots([uploads()[0], bad("nan")]))
    assert list(faults) == [1]
    assert "model/w" in faults[1]


def test_what_is_too_large_is_named_and_the_bound_is_a_setting():
    rows = uploads()
    rows[1]["model"]["w"][:] = 3e4
    model = uploads()[0]["model"]
    with pytest.raises(
        UserError, match=r"client 7 .*model/w has a root mean square of 3e\+04.*upload_rms"
    ):
        admit(rows, model, [4, 7, 9], "stop")
    _, good, refused = admit(rows, model, [4, 7, 9], "skip")
    assert (good, list(refused)) == ([0, 2], [7])
    _, good, _ = admit(rows, model, [4, 7, 9], "stop", largest=1e5)
    assert good == [0, 1, 2]


def test_a_majority_of_another_shape_does_not_outvote_the_server():
    rows = [bad("shape"), bad("shape"), uploads()[2]]
    _, good, refused = admit(rows, uploads()[0]["model"], [4, 7, 9], "skip")
    assert (good, list(refused)) == ([2], [4, 7])


NUMBERS = [0.0, 1.0, -3e38, 3e4, float("nan"), float("inf")]
TENSORS = st.builds(
    lambda shape, kind, value: torch.full(shape, value).to(kind),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
    st.sampled_from([torch.float32, torch.float64, torch.float16, torch.int64, torch.complex64]),
    st.sampled_from(NUMBERS),
)
SENT = st.one_of(st.none(), st.text(max_size=2), TENSORS, TENSORS.map(lambda t: t.to_sparse()))
NAMES = st.sampled_from(["w", "b", "running_var", "odd"])
UPLOADS = st.dictionaries(
    st.sampled_from(["model", "head"]), st.one_of(st.none(), st.dictionaries(NAMES, SENT))
)


@settings(max_examples=150, deadline=None)
@given(hostile=UPLOADS, place=st.integers(0, 3))
def test_whatever_one_client_sends_is_taken_or_refused_by_its_number(hostile, place):
    rows = uploads()
    rows.insert(place, hostile)
    clients = [3, 5, 7, 9]
    model = uploads()[0]["model"]
    stacked, good, refused = admit(rows, model, clients, "skip")
    assert set(good) >= {0, 1, 2, 3} - {place}
    assert list(refused) == [clients[row] for row in range(4) if row not in good]
    mean = weighted_mean(stacked["model"], torch.full((len(good),), 1 / len(good)))
    assert all(t.isfinite().all() for t in mean.values())
    if place not in good:
        with pytest.raises(UserError, match=f"client {clients[place]} was refused"):
            admit(rows, model, clients, "stop")


def test_integers_are_always_finite():
    assert finite_faults({"m": {"n": torch.ones(2, 3, dtype=torch.long)}}) == {}


def test_stacking_and_its_inverse():
    rows = uploads()
    stacked = stack_slots(rows)
    for k, expected in enumerate(rows):
        assert_equal(row_of(stacked, k), expected)
    assert nbytes(stacked) == 3 * 3 * 4


def test_shared_tensors_are_not_copied():
    shared = {"model": {"w": torch.zeros(1000)}}
    stacked = stack_slots([shared] * 5)["model"]["w"]
    assert stacked.shape == (5, 1000)
    assert stacked.data_ptr() == shared["model"]["w"].data_ptr()
