"""Public drawings: names to classes, and sets to images."""

import gzip
import io
import json
import tarfile

import numpy as np
import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.data import drawings
from fedgenbench.data.drawings import NO_CLASS, class_of, class_words, plain_name, read
from fedgenbench.data.emoji import name_hash


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("cat-face-2", "cat-face"),
        ("thumbs-up-medium-dark-skin-tone", "thumbs-up"),
        ("person-running-light", "person-running"),
        ("The Eiffel Tower", "the-eiffel-tower"),
        ("apple-outline", "apple"),
        ("house-2-bold-duotone", "house"),
        ("beermug", "beer-mug"),  # one set writes names as one word
    ],
)
def test_versions_of_a_name_are_one_name(name, plain):
    assert plain_name(name) == plain


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("cat-face", "animal"),  # as in EmojiDomains
        ("polar-bear", "animal"),
        ("city-bus", "vehicle"),
        ("woman-swimming", "person"),
        ("sleeping-baby", "person"),
        ("alarm-clock", NO_CLASS),
        ("search-house", NO_CLASS),  # a button
        ("arrow-left", NO_CLASS),
    ],
)
def test_a_name_tells_the_class(name, label):
    assert class_of(name) == label


HELD_OUT = next(
    word
    for word, label in class_words().items()
    if label == "animal" and name_hash(word) % 10 == 0 and plain_name(word) == word
)


def icon(colour, size=16):
    return {"body": f'<rect width="{size}" height="{size - 4}" fill="{colour}"/>'}


def write_sets(folder, **sets):
    folder.mkdir()
    for name, icons in sets.items():
        (folder / f"{name}.json").write_text(json.dumps({"icons": icons}))


def sketches(path, count=3):
    with tarfile.open(path, "w:gz") as pack:
        for name in ("cat", "alarm clock"):
            rows = [
                [0.0] * 400 + [1.0, 0.5] + [(i + len(name)) / 20] + [0.0] * 381
                for i in range(count)
            ]
            content = gzip.compress("\n".join(map(json.dumps, rows)).encode())
            entry = tarfile.TarInfo(f"package/src/drawings/{name}.ndjson.gz")
            entry.size = len(content)
            pack.addfile(entry, io.BytesIO(content))


SETS = {
    "faces": {"kind": "emoji"},
    "lines": {"kind": "line", "names": "-outline$"},
    "sketches": {"kind": "sketch", "file": "quick.tgz", "per_name": 2},
}


@pytest.fixture
def raw(tmp_path, monkeypatch):
    monkeypatch.setattr(drawings, "source_of", lambda name: {"facts": {"sets": SETS}})
    folder = tmp_path / "raw"
    write_sets(
        folder,
        faces={
            "cat": icon("red"),
            "cat-2": icon("red"),  # the same to the pixel
            "dog": icon("blue"),
            HELD_OUT: icon("yellow"),
            "blank": icon("white"),
            "alarm-clock": icon("green"),
        },
        lines={
            "house-outline": icon("black"),
            "house": icon("grey"),
            "arrow-left-outline": icon("black", 12),
        },
    )
    sketches(folder / "quick.tgz")
    return folder


def listed(arrays, card, part):
    columns = arrays[f"{part}_domains"], card[f"{part}_names"], arrays[f"{part}_labels"]
    return sorted(
        (card["domains"][domain], name, card["classes"][label])
        for domain, name, label in zip(*columns, strict=True)
    )


def test_sets_become_images_with_classes_and_names(raw):
    arrays, card = read("public_drawings", raw, None)
    assert listed(arrays, card, "test") == [("faces", HELD_OUT, "animal")]
    assert listed(arrays, card, "train") == [
        ("faces", "alarm-clock", NO_CLASS),
        ("faces", "cat", "animal"),
        ("faces", "dog", "animal"),
        ("lines", "house", "building"),  # no arrow: of icons those with a class are kept
        ("sketches", "alarm-clock", NO_CLASS),
        ("sketches", "alarm-clock", NO_CLASS),
        ("sketches", "cat", "animal"),
        ("sketches", "cat", "animal"),
    ]
    assert card["kinds"] == ["emoji", "line", "sketch"]
    assert card["repeated"]["faces"] == 1


def test_a_name_is_in_one_part_in_every_set(raw):
    arrays, card = read("public_drawings", raw, None)
    assert not set(card["train_names"]) & set(card["test_names"])
    assert len(card["train_names"]) == len(arrays["train_images"])


def test_ink_is_black_and_centred(raw):
    arrays, _ = read("public_drawings", raw, None)
    row = list(arrays["train_domains"]).index(2)
    image = arrays["train_images"][row]
    place = divmod(400, 28)
    assert image[2 + place[0], 2 + place[1]].tolist() == [0, 0, 0]
    assert image[2 + place[0], 3 + place[1]].tolist() == [128, 128, 128]
    assert image[:2].min() == 255


def test_a_limit_keeps_so_many_of_each_class_set_and_part(raw):
    arrays, _ = read("public_drawings", raw, 1)
    rows = list(zip(arrays["train_domains"], arrays["train_labels"], strict=True))
    assert len(rows) == len(set(map(tuple, rows)))


def test_a_set_without_drawings_is_named(raw):
    (raw / "faces.json").write_text(json.dumps({"icons": {}}))
    with pytest.raises(UserError, match=r"the set faces in .* holds no drawings"):
        read("public_drawings", raw, None)


def test_a_drawing_that_cannot_be_drawn_is_named(raw):
    (raw / "faces.json").write_text(json.dumps({"icons": {"cat": {"body": "<rect"}}}))
    with pytest.raises(UserError, match="cannot draw cat of the set faces"):
        read("public_drawings", raw, None)


def test_images_are_white_where_nothing_is_drawn(raw):
    arrays, _ = read("public_drawings", raw, None)
    assert (arrays["train_images"][:, -1] == 255).all()
    assert arrays["train_images"].dtype == np.uint8
