"""The subjects that a seed draws."""

from hashlib import sha256

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import DomainSettings, make_partition
from fedgenbench.data.subsets import drawn_subjects

NAMES = [f"name-{number}" for number in range(10)]
HALF = DomainSettings(scheme="domain", subjects=0.5)


def drawings(named=True):
    """Ten subjects, two classes of five, in three styles; the third lacks the first subject."""
    kept = [
        (style, number) for style in range(3) for number in range(10) if (style, number) != (2, 0)
    ]
    styles, numbers = map(np.array, zip(*kept, strict=True))
    images = np.zeros((len(kept), 4, 4, 3), np.uint8)
    names = {"train_names": [NAMES[number] for number in numbers]} if named else {}
    return Dataset(
        card={"name": "toy", "title": "Toy", "classes": ["a", "b"], "domains": ["x", "y", "z"]}
        | {"sha256": "0"}
        | names,
        train_images=images,
        train_labels=numbers // 5,
        train_domains=styles,
        test_images=images,
        test_labels=numbers // 5,
        test_domains=styles,
    )


def subjects(seed, scheme=HALF):
    data = drawings()
    partition = make_partition(data, scheme, seed)
    return [{data.card["train_names"][row] for row in client.train} for client in partition.clients]


def test_they_are_the_first_of_each_class_by_the_hash_of_seed_and_name():
    for seed in range(5):
        expected = set()
        for names in (NAMES[:5], NAMES[5:]):
            order = sorted(names, key=lambda name: sha256(f"{seed}/{name}".encode()).hexdigest())
            expected |= set(order[:2])
        first, second, third = subjects(seed)
        assert first == second == expected
        assert third == expected - {NAMES[0]}  # the same in every style that has them


def test_seeds_differ_in_them_and_not_in_the_test_images():
    assert len({frozenset(subjects(seed)[0]) for seed in range(10)}) > 5
    tests = [make_partition(drawings(), HALF, seed).clients[0].test.tolist() for seed in (0, 1)]
    assert tests[0] == tests[1] == list(range(10))


@given(st.floats(0.01, 1), st.booleans(), st.integers(0, 99))
@settings(max_examples=40)
def test_each_class_keeps_its_share_and_at_least_one(share, named, seed):
    data = drawings(named)
    drawn = drawn_subjects(data, share, seed)
    names = np.array(data.card.get("train_names") or [str(row) for row in range(len(drawn))])
    for label in (0, 1):
        own = data.train_labels == label
        known = len({*names[own]})
        assert len({*names[own & drawn]}) == max(1, round(share * known))


def test_all_of_them_is_what_there_was():
    assert drawn_subjects(drawings(), 1.0, 3).all()
    whole = make_partition(drawings(), DomainSettings(scheme="domain"), 3)
    assert [len(client.train) for client in whole.clients] == [10, 10, 9]
