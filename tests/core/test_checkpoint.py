"""Parts of a job on disk: what went in comes out, and nothing else does."""

import numpy as np
import pytest
from fedgenbench.images.shards import Shards

from fedgenbench.core.errors import UserError

ARRAYS = {"a": np.arange(6, dtype=np.int64).reshape(2, 3), "b": np.zeros((0, 4), np.float32)}


def test_arrays_and_facts_come_back(tmp_path):
    store = Shards(tmp_path / "new" / "folder", "one")
    assert store.get("part") is None
    store.put("part", ARRAYS | {"turned": ARRAYS["a"].T}, {"seconds": 1.5, "notes": ["x"]})
    arrays, facts = Shards(tmp_path / "new" / "folder", "one").get("part")
    assert facts == {"seconds": 1.5, "notes": ["x"]}
    for name, array in (ARRAYS | {"turned": ARRAYS["a"].T}).items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_a_damaged_part_is_as_if_it_were_not_there(tmp_path):
    store = Shards(tmp_path, "one")
    store.put("part", ARRAYS, {})
    path = tmp_path / "part.safetensors"
    content = bytearray(path.read_bytes())
    content[content.index(np.int64(5).tobytes())] = 7  # one number of "a"
    path.write_bytes(content)
    assert store.get("part") is None
    path.write_bytes(content[:20])
    assert store.get("part") is None
    path.write_bytes(b"")
    assert store.get("part") is None


def test_parts_of_another_job_are_refused_with_the_way_out(tmp_path):
    Shards(tmp_path, "one").put("part", ARRAYS, {})
    with pytest.raises(UserError, match="belongs to one, not to two: delete"):
        Shards(tmp_path, "two").get("part")
