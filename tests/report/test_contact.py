import base64
import io

import numpy as np
import pytest
import synthetic_runs
from PIL import Image

from fedgenbench.report.contact import EDGE, Tile, cells, real_images, spread
from fedgenbench.report.results import Picture


def decoded(tile):
    kind, _, text = tile.data_uri.partition(";base64,")
    assert kind == "data:image/webp"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


def test_a_small_image_keeps_its_pixels_and_a_large_one_its_look():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (EDGE, EDGE, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decoded(Tile(small, "")), small)
    large = np.full((512, 256, 3), (200, 30, 90), np.uint8)
    shown = decoded(Tile(large, ""))
    assert shown.shape == (EDGE, EDGE // 2, 3)
    assert np.abs(shown.astype(int) - large[0, 0]).max() < 12


def test_cells_are_those_of_the_sheet(tmp_path):
    tiles = np.arange(2 * 3, dtype=np.uint8).reshape(2, 3, 1, 1, 1)
    tiles = np.broadcast_to(tiles, (2, 3, 4, 5, 3))
    sheet = tiles.transpose(0, 2, 1, 3, 4).reshape(8, 15, 3)
    Image.fromarray(sheet).save(tmp_path / "sheet.png")
    np.testing.assert_array_equal(cells(tmp_path / "sheet.png", 2, 3), tiles)


@pytest.mark.parametrize(
    ("count", "kept"), [(0, []), (10, list(range(10))), (11, [0, 2, 4, 6, 8, 10])]
)
def test_of_many_clients_some_are_shown(count, kept):
    assert spread(range(count)) == kept


def test_real_images_come_from_rows_that_say_so_of_the_same_data(tmp_path):
    sheet = np.zeros((8, 8, 3), np.uint8)
    sheet[:4, 4:] = 255  # no real image of the second class
    sheet[4:] = 90
    Image.fromarray(sheet).save(tmp_path / "grid.png")
    rows = [{"kind": kind, "client": 0, "name": "noto"} for kind in ("real", "adapter")]
    says = {"rows": rows, "columns": ["face", "hand"]}
    pictures = [
        Picture("emoji_domains", 0, "grid", str(tmp_path / "grid.png"), says),
        Picture("emoji_domains", 0, "pairs", str(tmp_path / "grid.png"), [{"client": 0}]),
        Picture("emoji_domains", 0, "points", "none.parquet", None),
    ]
    grid = synthetic_runs.results(1, 1, pictures=pictures)
    images = real_images(grid, "EmojiDomains")
    assert list(images) == [("noto", "face")]
    np.testing.assert_array_equal(images["noto", "face"], np.zeros((4, 4, 3)))
    assert real_images(grid, "CIFAR-10") == {}
