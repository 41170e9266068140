"""Synthetic images on the server: read, resized, a subset of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgenbench.core.errors import UserError
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import Client, Partition
from fedgenbench.federated.run import left_out
from fedgenbench.federated.synthetic import Synthetic, read, read_model, subset
from fedgenbench.images.generated import save_images


def dataset(channels=3, edge=8):
    images = np.zeros((1, edge, edge, channels), np.uint8)
    none = np.zeros(1, np.int64)
    card = {"name": "toy", "classes": ["a", "b", "c"], "domains": None}
    return Dataset(card, images, none, images, none)


def file(path, count=4, edge=8, label=None, style=0):
    draws = np.random.default_rng(count)
    images = draws.integers(0, 256, (count, edge, edge, 3), dtype=np.uint8)
    labels = np.arange(count) % 3 if label is None else np.full(count, label)
    save_images(path, images, labels.astype(np.int64), np.full(count, style), {})
    return images, labels


def test_files_are_read_in_their_order(tmp_path):
    parts = [file(tmp_path / f"{n}.safetensors", n, style=n) for n in (5, 3)]
    found = read([tmp_path / "5.safetensors", tmp_path / "3.safetensors"], dataset())
    np.testing.assert_array_equal(found.images, np.concatenate([p[0] for p in parts]))
    np.testing.assert_array_equal(found.labels, np.concatenate([p[1] for p in parts]))
    assert found.style.tolist() == [5] * 5 + [3] * 3


@pytest.mark.parametrize("channels", [1, 3])
def test_they_take_the_data_sets_form(tmp_path, channels):
    images = np.full((2, 16, 16, 3), (200, 100, 0), np.uint8)
    save_images(tmp_path / "x", images, np.zeros(2, np.int64), np.zeros(2, np.int64), {})
    found = read([tmp_path / "x"], dataset(channels)).images
    assert found.shape == (2, 8, 8, channels)
    grey = round(0.299 * 200 + 0.587 * 100)  # ITU-R 601 luma
    expected = [grey] if channels == 1 else [200, 100, 0]
    assert abs(found.astype(int) - expected).max() <= 1


def test_a_class_that_the_data_set_lacks_is_refused(tmp_path):
    file(tmp_path / "x", label=3)
    with pytest.raises(UserError, match=r"class 3, which toy lacks"):
        read([tmp_path / "x"], dataset())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60),
    st.floats(0.05, 1),
    st.integers(0, 5),
)
def test_a_subset_has_its_share_of_every_style_and_class(pairs, share, seed):
    style, labels = np.array(pairs).T
    whole = Synthetic(np.arange(len(pairs), dtype=np.uint8)[:, None, None, None], labels, style)
    part = subset(whole, share, seed)
    again = subset(whole, share, seed)
    np.testing.assert_array_equal(part.images, again.images)
    rows = part.images.ravel().tolist()
    assert len(set(rows)) == len(rows)
    np.testing.assert_array_equal(part.labels, labels[rows])
    for pair in set(pairs):
        kept = sum((s, y) == pair for s, y in zip(part.style, part.labels, strict=True))
        assert kept == max(1, round(share * pairs.count(pair)))


def test_a_damaged_model_is_named(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"model.safetensors is missing or damaged"):
        read_model(tmp_path / "model.safetensors")


def test_a_client_left_out_is_what_the_others_are_tested_on():
    clients = tuple(
        Client(np.array([10 * k, 10 * k + 1]), np.array([10 * k + 5])) for k in range(3)
    )
    whole = Partition("toy", "", {}, 0, "", clients, {})
    part = left_out(whole, 1)
    assert [client.train.tolist() for client in part.clients] == [[0, 1], [20, 21]]
    assert [client.test.tolist() for client in part.clients] == [[15], [15]]
