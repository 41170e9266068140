import json

import numpy as np
import pytest
from stand_ins import entry, write_files

from fedgenbench.core.errors import UserError
from fedgenbench.data.dataset import load
from fedgenbench.data.emoji import (
    EMOJI_TRAIN_PER_CLASS,
    emoji_classes,
    is_test_name,
    name_hash,
)
from fedgenbench.data.prepare import prepare
from fedgenbench.data.sources import source_table

# --- sets with an official split


def flip_a_bit(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_idx_values_and_order(tmp_path, idx_raw, idx_contents):
    prepare("fashion_mnist", idx_raw, tmp_path / "out")
    data = load(tmp_path / "out")
    for part, stem in (("train", "train"), ("test", "t10k")):
        images = np.frombuffer(idx_contents[f"{stem}-images-idx3-ubyte"][16:], np.uint8)
        labels = np.frombuffer(idx_contents[f"{stem}-labels-idx1-ubyte"][8:], np.uint8)
        assert np.array_equal(getattr(data, f"{part}_images").ravel(), images)
        assert np.array_equal(getattr(data, f"{part}_labels"), labels)
    assert data.train_images.shape == (120, 28, 28, 1)
    assert (data.train_images.dtype, data.train_labels.dtype) == (np.uint8, np.int64)
    assert data.train_domains is None
    assert data.card["counts"] == {"train": 120, "test": 50}
    assert data.card["histograms"] == {"train": [[12] * 10], "test": [[5] * 10]}
    assert (data.name, data.n_classes) == ("fashion_mnist", 10)
    assert data.card["works"][0]["licence"] == "MIT"


def test_cifar_planes_become_channels(tmp_path, set_table):
    contents, records = {}, np.random.default_rng(1).integers(0, 256, (60, 3073), np.uint8)
    records[:, 0] = np.arange(60) % 10
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    for name, chunk in zip(names, np.split(records, 6), strict=True):
        contents[name] = chunk.tobytes()
    set_table({"cifar10": entry(contents, {"train": [5] * 10, "test": [1] * 10})})
    prepare("cifar10", write_files(tmp_path / "raw", contents), tmp_path / "out")
    data = load(tmp_path / "out")
    red, green, blue = records[23, 1:].reshape(3, 32, 32)
    assert np.array_equal(data.train_images[23], np.stack([red, green, blue], axis=-1))
    assert np.array_equal(data.test_labels, records[50:, 0])


def test_equal_arguments_give_equal_bytes(tmp_path, idx_raw):
    for name in ("one", "two"):
        prepare("fashion_mnist", idx_raw, tmp_path / name, limit_per_class=3)
    for file in ("data.safetensors", "card.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_slice_is_balanced_nested_and_real(tmp_path, idx_raw):
    prepare("fashion_mnist", idx_raw, tmp_path / "all")
    full = {image.tobytes() for image in load(tmp_path / "all").train_images}
    seen = []
    for limit in (2, 4):
        prepare("fashion_mnist", idx_raw, tmp_path / str(limit), limit_per_class=limit)
        data = load(tmp_path / str(limit))
        assert data.card["histograms"] == {"train": [[limit] * 10], "test": [[limit] * 10]}
        seen.append({image.tobytes() for image in data.train_images})
    assert seen[0] < seen[1] < full


@pytest.mark.parametrize("damage", ["flip", "cut", "missing"])
def test_damaged_raw_file(tmp_path, idx_raw, damage):
    path = idx_raw / "t10k-images-idx3-ubyte"
    if damage == "flip":
        flip_a_bit(path, 1000)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    with pytest.raises(UserError, match=rf"{path}.*Delete {idx_raw / 'SOURCE.json'} and run"):
        prepare("fashion_mnist", idx_raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_facts_are_checked(tmp_path, set_table, idx_contents):
    set_table({"fashion_mnist": entry(idx_contents, {"train": [13] * 10, "test": [5] * 10})})
    raw = write_files(tmp_path / "raw", idx_contents)
    with pytest.raises(UserError, match="expected train images per class"):
        prepare("fashion_mnist", raw, tmp_path / "out")


def test_the_real_facts_are_the_published_ones():
    facts = {name: spec["facts"] for name, spec in source_table().items()}
    for name, train in (("fashion_mnist", 60_000), ("mnist", 60_000), ("cifar10", 50_000)):
        assert (sum(facts[name]["train"]), sum(facts[name]["test"])) == (train, 10_000)
    assert set(facts["cifar10"]["train"]) == {5000}
    drawings = facts["emoji_domains"]["drawings"]
    assert (
        list(drawings)
        == facts["emoji_domains"]["domains"] + facts["emoji_domains"]["public_domains"]
    )
    assert (min(drawings.values()), max(drawings.values())) == (431, 816)


@pytest.mark.parametrize("position", [3, 100, -1])
def test_damaged_arrays_are_not_loaded(tmp_path, idx_raw, position):
    prepare("fashion_mnist", idx_raw, tmp_path / "out")
    path = tmp_path / "out" / "data.safetensors"
    flip_a_bit(path, position)
    with pytest.raises(UserError, match=f"{path} does not match"):
        load(tmp_path / "out")
    path.unlink()
    with pytest.raises(UserError, match=f"{path} is missing"):
        load(tmp_path / "out")


def test_arrays_are_read_only_and_equal_to_the_safetensors_reader(tmp_path, idx_raw):
    from safetensors.numpy import load_file

    prepare("fashion_mnist", idx_raw, tmp_path / "out")
    data = load(tmp_path / "out")
    for name, array in load_file(tmp_path / "out" / "data.safetensors").items():
        view = getattr(data, name)
        assert view.dtype == array.dtype
        assert np.array_equal(view, array)
        assert not view.flags.writeable


# --- EmojiDomains

DOMAINS, PUBLIC = ["noto", "mono"], ["flat"]
STYLES = [*DOMAINS, *PUBLIC]
NAMES = [name for names in emoji_classes().values() for name in names]


def toy_icons(style):
    """Every listed name as a rectangle whose colour is unique, and some unlisted ones."""
    icons = {"icons": {}, "width": 64, "height": 64}
    for number, name in enumerate([*NAMES, "not-listed"]):
        colour = (
            "currentColor" if style == "mono" else f"#{STYLES.index(style) * 80:02x}{number:04x}"
        )
        icons["icons"][name] = {
            "body": f'<path fill="{colour}" d="M0 0h64v{10 + number / 40}H0z"/>'
        }
    return icons


@pytest.fixture
def emoji(tmp_path, set_table):
    """``emoji(edit, **settings)`` prepares toy styles after ``edit(style -> icons)``."""

    def run(edit=lambda styles: None, drawn=None, **settings):
        styles = {style: toy_icons(style) for style in STYLES}
        edit(styles)
        contents = {f"{s}/icons.json": json.dumps(icons).encode() for s, icons in styles.items()}
        drawings = {s: sum(n in icons["icons"] for n in NAMES) for s, icons in styles.items()}
        facts = {
            "domains": DOMAINS,
            "public_domains": PUBLIC,
            "drawings": drawn or drawings,
        } | expected(styles)
        set_table({"emoji_domains": entry(contents, facts)})
        raw = write_files(tmp_path / "raw", contents)
        prepare("emoji_domains", raw, tmp_path / "out", **settings)
        return load(tmp_path / "out")

    return run


def expected(styles):
    """Images per class and part, straight from the rule."""
    counts = {"train": [], "test": []}
    for names in emoji_classes().values():
        train = test = 0
        for style in DOMAINS:
            bodies = styles[style]["icons"]
            first = {bodies[n]["body"]: n for n in sorted(names, reverse=True) if n in bodies}
            sides = [is_test_name(name) for name in first.values()]
            train += min(sides.count(False), EMOJI_TRAIN_PER_CLASS)
            test += sides.count(True)
        counts["train"].append(train)
        counts["test"].append(test)
    return counts


def test_the_split_is_by_name_in_every_style(emoji):
    data = emoji()
    card = data.card
    train, test = set(card["train_names"]), set(card["test_names"])
    public = set(card["public_names"])
    assert not (train | public) & test
    assert all(map(is_test_name, test))
    assert train <= public
    assert train | public | test == set(NAMES)
    for part in ("train", "test", "public"):
        assert len(card[f"{part}_names"]) == len(getattr(data, f"{part}_images"))
    # No test picture occurs in training, drawn by anyone.
    pictures = [{image.tobytes() for image in data.test_images}]
    pictures += [{image.tobytes() for image in part} for part in (data.public_images,)]
    coloured = data.train_images[data.train_domains == 0]
    assert not pictures[0] & (pictures[1] | {image.tobytes() for image in coloured})


def test_about_a_third_of_each_class_is_tested():
    for names in emoji_classes().values():
        assert 0.2 < np.mean([is_test_name(name) for name in names]) < 0.45
    assert 0.3 < np.mean([is_test_name(name) for name in NAMES]) < 0.36
    assert len(NAMES) == len(set(NAMES))


def test_labels_domains_and_the_training_cap(emoji):
    data = emoji()
    card = data.card
    assert (card["domains"], card["public_domains"]) == (DOMAINS, PUBLIC)
    assert np.array(card["histograms"]["train"]).max() == EMOJI_TRAIN_PER_CLASS
    lists = list(emoji_classes().values())
    for part in ("train", "test", "public"):
        labels = getattr(data, f"{part}_labels")
        assert all(n in lists[k] for n, k in zip(card[f"{part}_names"], labels, strict=True))
    first = [n for n, k in zip(card["train_names"], data.train_labels, strict=True) if k == 0]
    ordered = sorted((n for n in lists[0] if not is_test_name(n)), key=name_hash)
    assert first == ordered[:EMOJI_TRAIN_PER_CLASS] * len(DOMAINS)


def test_pictures(emoji):
    data = emoji()
    assert data.train_images.shape[1:] == (32, 32, 3)
    mono = data.train_images[data.train_domains == 1]
    assert (mono[:, 0] == 0).all()
    assert (mono[:, -1] == 255).all()
    name = data.card["public_names"][0]
    assert data.public_images[0, 0, 0].tolist() == [160, *divmod(NAMES.index(name), 256)]


def test_an_oblong_icon_is_centred(emoji):
    name = next(name for name in NAMES if is_test_name(name))

    def edit(styles):
        styles["noto"]["icons"][name] |= {"height": 32, "body": '<path d="M0 0h64v32H0z"/>'}

    data = emoji(edit)
    dark = data.test_images[data.card["test_names"].index(name)].max(axis=(1, 2)) < 128
    assert np.flatnonzero(dark).tolist() == list(range(8, 24))


def test_a_repeated_drawing_counts_once(emoji):
    # As in a real set, where 'person' and 'person-red-hair' are one drawing on both sides.
    assert is_test_name("person-red-hair") != is_test_name("person")

    def edit(styles):
        styles["noto"]["icons"]["person-red-hair"] = styles["noto"]["icons"]["person"]

    data = emoji(edit)
    assert data.card["drawings"]["noto"]["repeated"] == ["person-red-hair"]
    rows = data.test_domains if is_test_name("person-red-hair") else data.train_domains
    names = data.card["test_names" if is_test_name("person-red-hair") else "train_names"]
    noto = [name for name, domain in zip(names, rows, strict=True) if domain == 0]
    assert "person-red-hair" not in noto


def test_an_alias_is_no_drawing(emoji):
    def edit(styles):
        del styles["noto"]["icons"]["cricket"]
        styles["noto"]["aliases"] = {"cricket": {"parent": "not-listed"}}

    data = emoji(edit)
    assert data.card["drawings"]["noto"]["drawn"] == len(NAMES) - 1


def test_an_icon_that_cannot_be_drawn_is_named(emoji):
    name = min(emoji_classes()["face"], key=name_hash)

    def edit(styles):
        styles["noto"]["icons"][name] = {"body": "<path"}

    with pytest.raises(UserError, match=f"cannot draw {name} of the set noto"):
        emoji(edit)


def test_the_number_of_drawings_is_checked(emoji):
    with pytest.raises(UserError, match=r"expected 3 listed emoji in noto, found \d+"):
        emoji(drawn={style: 3 for style in STYLES})


def test_limit(emoji):
    data = emoji(limit_per_class=2)
    assert data.train_images.shape == (len(DOMAINS) * 10 * 2, 32, 32, 3)
    for part in ("train", "test", "public"):
        assert np.unique(data.card["histograms"][part]).tolist() == [2]
