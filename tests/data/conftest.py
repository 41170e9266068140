import struct

import numpy as np
import pytest
from stand_ins import entry, write_files

from fedgenbench.data import sources


@pytest.fixture
def raw(tmp_path):
    """data/raw"""
    return tmp_path / "raw"


@pytest.fixture
def set_table(monkeypatch):
    """Replaces the content of sources.yaml."""

    def replace(table):
        monkeypatch.setattr(sources, "source_table", lambda: table)

    return replace


@pytest.fixture
def idx_contents():
    """Fashion-MNIST in small: 12 training and 5 test images per class, in mixed order."""
    generator = np.random.default_rng(0)
    contents = {}
    for part, count in (("train", 12), ("t10k", 5)):
        labels = generator.permutation(np.repeat(np.arange(10, dtype=np.uint8), count))
        images = generator.integers(0, 256, (len(labels), 28, 28), np.uint8)
        head = struct.pack(">4I", 2051, len(labels), 28, 28)
        contents[f"{part}-images-idx3-ubyte"] = head + images.tobytes()
        head = struct.pack(">2I", 2049, len(labels))
        contents[f"{part}-labels-idx1-ubyte"] = head + labels.tobytes()
    return contents


@pytest.fixture
def idx_raw(tmp_path, set_table, idx_contents):
    facts = {"train": [12] * 10, "test": [5] * 10}
    set_table({"fashion_mnist": entry(idx_contents, facts)})
    return write_files(tmp_path / "raw", idx_contents)
