"""What the foundation model may see, and what it may not."""

import dataclasses

import numpy as np
import pytest
from miniature import SETS, pictures, pool
from PIL import Image

from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.emoji import emoji_classes, is_test_name
from fedgenbench.systems.foundation.pool import load_pool, make_pool, test_words
from fedgenbench.systems.foundation.settings import Shares

SHARES = Shares(emoji=0.6, colour=0.1, line=0.1, solid=0.1, sketch=0.2, classless=0.25)
POOL = pool()
test_words.__test__ = False


def noise(*names, count):
    return stream(0, *names).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def data(images, names, origins, labels=None, tests=0, **card) -> Dataset:
    """A data set whose last ``tests`` images are its test part."""
    cut = len(images) - tests
    labels = np.zeros(len(images), np.int64) if labels is None else labels
    origins = np.array(origins)
    return Dataset(
        card={"train_names": names[:cut], "test_names": names[cut:], "sha256": "0" * 64, **card},
        train_images=images[:cut],
        train_labels=labels[:cut],
        train_domains=origins[:cut],
        test_images=images[cut:],
        test_labels=labels[cut:],
        test_domains=origins[cut:],
    )


def drawings(images, names, domains=None):
    kinds = {"domains": ["public-a", "public-b"], "kinds": ["emoji", "line"]}
    domains = [0] * len(images) if domains is None else domains
    return data(images, names, domains, tests=1, classes=["face", "other"], **kinds)


PRIVATE = data(noise("private", count=4), ["one", "two", "three", "four"], [0, 0, 1, 1], tests=2,
               domains=["client-a", "client-b"])  # fmt: skip


def test_a_part_keeps_image_class_name_and_kind_together():
    seen = POOL.part(held_out=False)
    assert len(seen.names) == len(seen.labels) == (~POOL.held_out).sum()
    kept = np.flatnonzero(~POOL.held_out)
    for place, row in enumerate(kept):
        assert np.array_equal(seen.images[place], POOL.images[row])
        assert seen.names[place] == POOL.names[row]
        assert seen.labels[place] == POOL.labels[row]
        assert seen.kinds[place] == SETS[POOL.styles[row]]
    assert set(POOL.of_a_class().labels) == {0, 1}


def test_classes_are_even_and_kinds_come_by_their_shares():
    weights = POOL.weights(SHARES)
    assert weights.sum() == pytest.approx(1)
    kinds = np.array(POOL.kinds)
    assert weights[POOL.labels == 2].sum() == pytest.approx(0.25)
    for label in (0, 1):
        assert weights[POOL.labels == label].sum() == pytest.approx(0.75 / 2)
        emoji = weights[(POOL.labels == label) & (kinds == "emoji")].sum()
        assert emoji == pytest.approx(0.75 / 2 * 0.6 / 0.8)  # of the kinds that there are


def test_validation_draws_held_out_images_of_a_class():
    chosen = POOL.validation(SHARES, 0)
    assert chosen.held_out.all()
    assert set(chosen.labels) == {0, 1}
    assert chosen.names == POOL.validation(SHARES, 0).names


def test_a_pool_is_what_was_made_and_says_so(tmp_path):
    images = noise("public", count=5)
    made = drawings(images, list("abcde"), [0, 0, 1, 1, 0])
    make_pool(made, PRIVATE, "open", tmp_path)
    found = load_pool(tmp_path)
    assert np.array_equal(found.images, images)
    assert found.names == ["a", "b", "c", "d", "e"]
    assert found.styles == ["public-a", "public-a", "public-b", "public-b", "public-a"]
    assert found.held_out.tolist() == [False] * 4 + [True]


def test_twins_of_clients_and_test_pictures_are_refused_and_shown(tmp_path):
    images = noise("public", count=5)
    images[1] = PRIVATE.train_images[0][:, ::-1]  # mirrored
    images[2] = PRIVATE.test_images[1] // 2 + 10  # in darker shades
    make_pool(drawings(images, list("abcde")), PRIVATE, "open", tmp_path)
    assert load_pool(tmp_path).names == ["a", "d", "e"]
    from fedgenbench.core.files import read_json

    twins = read_json(tmp_path / "pool.json")["twins"]
    assert [(twin["name"], twin["of"]) for twin in twins] == [
        ("b", ["client-a", "one"]),
        ("c", ["client-b", "four"]),
    ]
    assert Image.open(tmp_path / "twins.png").size == (12 * 72, 36)


def test_strict_subjects_leave_out_what_is_tested(tmp_path):
    tested = next(n for names in emoji_classes().values() for n in names if is_test_name(n))
    word = sorted(test_words())[0]
    names = [tested, f"big-{word}", "alarm-clock-face", "b"]
    free = [not is_test_name(name) and test_words().isdisjoint(name.split("-")) for name in names]
    for subjects, kept in (("open", [True] * 4), ("strict", free)):
        made = drawings(noise("public", count=4), names)
        make_pool(made, PRIVATE, subjects, tmp_path / subjects)
        found = load_pool(tmp_path / subjects)
        assert found.names == [n for n, k in zip(names, kept, strict=True) if k]
    assert free[:2] == [False, False]


def test_test_words_occur_in_no_training_name():
    training = [n for ns in emoji_classes().values() for n in ns if not is_test_name(n)]
    assert not test_words() & {word for name in training for word in name.split("-")}
    assert len(test_words()) > 50


def test_a_set_that_redraws_a_client_s_style_is_refused(tmp_path):
    private = noise("private", count=25)
    names = [f"subject-{number}" for number in range(25)]
    theirs = data(private, names, [0] * 25, tests=1, domains=["client-a"])
    copies = np.where(np.arange(25)[:, None, None, None] < 15, private, noise("p", count=25))
    with pytest.raises(UserError, match=r"public-a redraws .* client-a \(60%"):
        make_pool(drawings(copies, names), theirs, "open", tmp_path)


def test_an_altered_pool_is_refused(tmp_path):
    make_pool(drawings(noise("public", count=3), list("abc")), PRIVATE, "open", tmp_path)
    path = tmp_path / "pool.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"pool\.safetensors is not the file"):
        load_pool(tmp_path)


def test_a_pool_without_a_kind_shares_its_part_among_the_others():
    lone = dataclasses.replace(POOL, kinds=["line"] * len(POOL.kinds))
    weights = lone.weights(SHARES)
    assert weights.sum() == pytest.approx(1)
    assert np.ptp(weights[lone.labels == 0]) == pytest.approx(0)
    assert pictures(np.array([0]), "x").shape == (1, 32, 32, 3)
