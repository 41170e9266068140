"""Synthetic images in a file."""

import numpy as np
import pytest

from fedgenbench.core import artifacts
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream
from fedgenbench.images.generated import load_images, save_images


def test_a_file_of_images_gives_back_what_was_written(tmp_path):
    drawn = stream(0, "generated").integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)
    backwards = drawn[:, ::-1]  # not in the order of memory
    of_classes, of_style = np.array([0, 0, 0, 2, 2, 2]), np.full(6, 3)
    for name in ("one", "two"):
        save_images(tmp_path / name, backwards, of_classes, of_style, {"b": 1, "a": [2]})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    images, labels, style = load_images(tmp_path / "one")
    assert np.array_equal(images, backwards)
    assert np.array_equal(labels, of_classes)
    assert np.array_equal(style, of_style)
    assert (images.dtype, labels.dtype, style.dtype) == (np.uint8, np.int64, np.int64)


def test_a_damaged_file_of_images_is_named(tmp_path):
    path = tmp_path / "images.safetensors"
    with pytest.raises(UserError, match=r"images.safetensors is missing"):
        load_images(path)
    path.write_bytes(b"123")
    with pytest.raises(UserError, match=r"images.safetensors is missing or damaged"):
        load_images(path)
    artifacts.save(path, "adapters", {"a": np.zeros(2, np.float16)}, {})
    with pytest.raises(UserError, match=r"is a file of adapters, not of images"):
        load_images(path)
