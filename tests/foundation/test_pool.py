"""What the foundation model may see, and what it may not."""

import numpy as np
import pytest
from miniature import STYLES, dataset, names

from fedgenbench.data.prepare import name_hash
from fedgenbench.errors import UserError
from fedgenbench.foundation.pool import public_pool


def test_every_kth_name_is_held_out_in_all_styles():
    pool = public_pool(dataset(), holdout=4)
    expected = [name_hash(name) % 4 == 0 for name in pool.names]
    assert pool.held_out.tolist() == expected
    assert 0 < sum(expected) < len(expected)
    seen, unseen = pool.part(held_out=False), pool.part(held_out=True)
    assert not set(seen.names) & set(unseen.names)
    assert set(seen.styles) == set(unseen.styles) == set(STYLES)


def test_a_part_keeps_image_class_name_and_row_together():
    pool = public_pool(dataset(), holdout=4)
    seen = pool.part(held_out=False)
    assert len(seen.rows) == len(seen.names) == len(seen.labels) == (~pool.held_out).sum()
    for place, row in enumerate(seen.rows):
        assert np.array_equal(seen.images[place], pool.images[row])
        assert seen.names[place] == pool.names[row]
        assert seen.labels[place] == pool.labels[row]
        assert seen.styles[place] == pool.styles[row]


def test_the_record_lists_every_image():
    seen = public_pool(dataset(), holdout=4).part(held_out=False)
    record = seen.record()
    assert record["data_sha256"] == "0" * 64
    assert len(record["images"]) == len(seen.rows)
    assert record["images"][0] == [int(seen.rows[0]), seen.styles[0], seen.names[0]]


def test_a_test_name_is_refused():
    (leak,) = names(test=True, count=1)
    with pytest.raises(UserError, match=f"tested on: {leak}"):
        public_pool(dataset(public_names=[*names(test=False, count=4), leak]), holdout=4)


def test_a_clients_style_is_refused():
    with pytest.raises(UserError, match="client-a"):
        public_pool(dataset(public_styles=["public-a", "client-a"]), holdout=4)
