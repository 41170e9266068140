import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedgenbench.core.answers import digest_of_images, packed, shares, unpacked
from fedgenbench.core.errors import UserError

clients = st.lists(st.lists(st.booleans(), min_size=1, max_size=20), min_size=1, max_size=5)


@given(clients)
def test_answers_come_back_by_client(right):
    sizes = [len(part) for part in right]
    back = unpacked(packed(right), sizes)
    assert [part.tolist() for part in back] == right
    assert shares(back) == [sum(part) / len(part) for part in right]


def test_eight_answers_are_a_byte_the_first_its_highest_bit():
    # 1000 0000 1...: 0x80 0x80 in base64.
    assert packed([[True] + [False] * 4, [False] * 3 + [True]]) == "gIA="


def test_another_number_of_images_is_refused():
    with pytest.raises(UserError, match=r"16 answers do not fit 5 test images: run the job again"):
        unpacked(packed([[True] * 9]), [3, 2])


def test_the_digest_knows_data_positions_and_who_holds_them():
    base = digest_of_images("data", [np.array([1, 2]), np.array([3])])
    assert base == digest_of_images("data", [np.array([1, 2]), np.array([3])])
    others = [
        digest_of_images("other", [np.array([1, 2]), np.array([3])]),
        digest_of_images("data", [np.array([2, 1]), np.array([3])]),
        digest_of_images("data", [np.array([1]), np.array([2, 3])]),
    ]
    assert base not in others
