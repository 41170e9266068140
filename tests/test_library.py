"""docs/library.md: every block runs, one after another, on toy data."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from fedgenbench.core.files import sha256_file, write_json
from fedgenbench.core.streams import stream

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/library.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
CLASSES = ["shirt", "T-shirt/top", "bag"]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with three easy classes of grey images and the miniature diffusion model."""
    folder = tmp_path / "data/prepared/fashion_mnist-0123456789"
    folder.mkdir(parents=True)
    draw, arrays = stream(0, "library"), {}
    for part, count in (("train", 90), ("test", 45)):
        labels = np.arange(count, dtype=np.int64) % len(CLASSES)
        images = draw.integers(0, 60, (count, 28, 28, 1)).astype(np.uint8)
        images += (60 * labels[:, None, None, None]).astype(np.uint8)
        arrays |= {f"{part}_images": images, f"{part}_labels": labels}
    save_file(arrays, folder / "data.safetensors")
    card = {"name": "fashion_mnist", "title": "Toy", "classes": CLASSES, "domains": []}
    write_json(folder / "card.json", card | {"sha256": sha256_file(folder / "data.safetensors")})
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)


def test_a_notebook_goes_from_data_to_pictures(checkout):
    names = {}
    for block in BLOCKS[:-1]:
        exec(block, names)
    partition, run, generated = names["partition"], names["run"], names["generated"]
    assert len(partition.clients) == 3
    assert sorted(np.concatenate([c.train for c in partition.clients])) == list(range(90))
    assert Path("partition.json").is_file()
    assert [entry["round"] for entry in run.history] == [1, 2, 3]
    assert np.mean(run.history[-1]["personal"]) > 0.5  # three classes of another brightness each
    assert generated.images.shape == (4, 32, 32, 3)
    assert generated.labels.tolist() == [0, 0, 1, 1]
    found = sorted(str(path) for path in Path("png").rglob("*.png"))
    assert found == [
        *("png/client0/T-shirt_top/00002.png", "png/client0/T-shirt_top/00003.png"),
        *("png/client0/shirt/00000.png", "png/client0/shirt/00001.png"),
    ]
    kept = np.asarray(Image.open("png/client0/shirt/00001.png"))
    assert np.array_equal(kept, generated.images[1])


def test_the_last_block_reads_what_the_workflow_collects(tmp_path, monkeypatch):
    asked = []

    class Results:
        def by_seed(self, experiment, metric):
            asked.append((experiment, metric))

    (tmp_path / "results/embedded/collected-0123456789").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fedgenbench.systems.collected.read_results", lambda folder: Results())
    exec(BLOCKS[-1], {"Path": Path})
    assert asked == [("emoji_domains", "personal")]
