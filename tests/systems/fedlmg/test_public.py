"""The public images of the embedded scale: whose they are, and that they are those of the record."""

from pathlib import Path

import numpy as np
import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, sha256_file
from fedgenbench.data.sources import source_of
from fedgenbench.systems.fedlmg.public import read_public

MODELS = Path(__file__).parents[3] / "models"
PICTURE = MODELS / "public_drawings.png"


def test_they_are_those_of_the_record_and_of_no_client():
    record = read_json(PICTURE.with_suffix(".json"))
    assert record["sha256"] == sha256_file(PICTURE)
    sets = {name for name, _ in record["images"]}
    assert sets == {work["work"] for work in record["works"]}
    assert not sets & set(source_of("emoji_domains")["facts"]["domains"])
    images = read_public(str(PICTURE), len(record["images"]), (32, 32, 3))
    assert images.shape == (600, 32, 32, 3)
    with pytest.raises(UserError, match="has 600 images, 601 are asked for"):
        read_public(str(PICTURE), 601, (32, 32, 3))


def test_a_folder_of_pictures_is_read_in_the_order_of_names(tmp_path):
    from PIL import Image

    for name, value in (("b.png", 200), ("a.png", 10), ("c.txt", 0)):
        Image.new("L", (64, 64), value).save(tmp_path / name, "PNG")
    images = read_public(str(tmp_path), 2, (32, 32, 3))
    np.testing.assert_array_equal(images[:, 0, 0], [[10] * 3, [200] * 3])
    with pytest.raises(UserError, match="nowhere is not here"):
        read_public("nowhere", 1, (32, 32, 3))
