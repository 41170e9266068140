import numpy as np
import pytest
import synthetic_warmfed
from PIL import Image

from fedgenbench.systems.warmfed.contact import contact_sheets


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return synthetic_warmfed.pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def sheet(pictures):
    (sheet,) = contact_sheets(synthetic_warmfed.results(seeds=1, pictures=pictures))
    return sheet


def test_a_client_has_a_row_per_class_and_a_column_per_origin(sheet, pictures):
    assert [client.name for client in sheet.clients] == synthetic_warmfed.DOMAINS
    client = sheet.clients[2]
    assert client.columns == ["real", "adapter", "prompts alone"]
    assert [label for label, _ in client.rows] == [f"class {c}" for c in range(10)]
    drawn = np.asarray(Image.open(pictures[0].path))
    # Rows of the picture: real of all clients, then all adapters', then the prompts'.
    for tile, row in zip(client.rows[3][1], (2, 8, 12), strict=True):
        np.testing.assert_array_equal(tile.image, drawn[64 * row : 64 * row + 64, 192:256])
    name = synthetic_warmfed.DOMAINS[2]
    assert [tile.words for tile in client.rows[3][1]] == [
        f"{name}, class 3: {kind}" for kind in ("real", "adapter", "prompts alone")
    ]


def test_pairs_are_a_synthetic_image_and_the_nearest_private_one(sheet, pictures):
    drawn = np.asarray(Image.open(pictures[1].path))
    pair = sheet.clients[1].pairs[4]
    np.testing.assert_array_equal(pair.image, drawn[64:128, 8 * 64 : 9 * 64])
    np.testing.assert_array_equal(pair.twin.image, drawn[64:128, 9 * 64 : 10 * 64])
    owner = synthetic_warmfed.DOMAINS[0]
    assert (pair.words, pair.twin.words) == (f"{owner}, 0.10", f"training image of {owner}")


def test_without_pictures_there_is_no_sheet():
    assert contact_sheets(synthetic_warmfed.results(seeds=1)) == []
