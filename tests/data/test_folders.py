"""Data sets that a person places: every layout, who goes where, and what is refused."""

import copy
import csv
import hashlib
import io
import json
import os
import tracemalloc
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from placed_folders import EDGE, picture, place, rows, run

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json
from fedgenbench.data import folders, sources
from fedgenbench.data.dataset import load
from fedgenbench.data.fetch import fetch
from fedgenbench.data.prepare import prepare
from fedgenbench.data.readers import reader_modules
from fedgenbench.data.sources import missing, source_of

TABLE = sources.source_table()
PLACED = [name for name, spec in TABLE.items() if "folder" in spec]
OFFICE = TABLE["office_caltech10"]
DOMAINNET = TABLE["domainnet"]
DOMAINS = DOMAINNET["facts"]["domains"]
FEDBN = TABLE["domainnet_fedbn"]["classes"]
CLASSES = [*DOMAINNET["classes"], *(name for name in FEDBN if name != "bird"), "zigzag"]


@pytest.fixture(autouse=True)
def small_edges(set_table):
    """The real entries with pictures of a few pixels. Returns the table, for further changes."""
    table = copy.deepcopy(TABLE)
    for name in PLACED:
        table[name]["edge"] = EDGE
        table[name]["facts"].pop("whole", None)
    set_table(table)
    return table


def by_group(data, part):
    return Counter((domain, label) for domain, label, _ in rows(data, part))


def same_bytes(one, two):
    names = ("data.safetensors", "card.json")
    return all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


# --- Office-Caltech10


def office_names(count=lambda domain, label: 4):
    return [
        f"{domain}/{name}/frame_{number:04d}.jpg"
        for d, domain in enumerate(OFFICE["facts"]["domains"])
        for k, name in enumerate(OFFICE["classes"])
        for number in range(count(d, k))
    ]


@pytest.fixture
def office(raw):
    root = raw / "office_caltech10" / "office_caltech_10"
    place(root, office_names())
    return root


def write_lists(folder, lines):
    """``{domain}_{part}.txt`` of ``part -> names``, each with its class's name."""
    for domain in OFFICE["facts"]["domains"]:
        for part, names in lines.items():
            text = "".join(f"{n} {n.split('/')[-2]}\n" for n in names if f"{domain}/" in n)
            (folder / f"{domain}_{part}.txt").write_text(text)


def test_a_fifth_of_each_domain_and_class_is_tested(raw, tmp_path):
    names = office_names(lambda d, k: (3 * d + k) % 13)
    root = raw / "office_caltech10" / "office_caltech_10"
    place(root, names)
    for domain in OFFICE["facts"]["domains"]:
        for name in OFFICE["classes"]:
            (root / domain / name).mkdir(parents=True, exist_ok=True)
    data = run("office_caltech10", raw, tmp_path / "out")
    assert data.card["domains"] == ["amazon", "caltech", "dslr", "webcam"]
    assert data.n_classes == 10
    assert data.train_images.shape[1:] == (EDGE, EDGE, 3)
    train, test = rows(data, "train"), rows(data, "test")
    assert sorted(name for _, _, name in train + test) == sorted(names)
    assert all(name.split("/")[:2] == [domain, label] for domain, label, name in train + test)
    held = Counter(tuple(name.split("/")[:2]) for name in names)
    tested = by_group(data, "test")
    for group, count in held.items():
        assert tested[group] == round(count / 5)
    # What a domain lacks is said, not refused.
    assert ["train", "amazon", "back_pack"] in data.card["empty_classes"]
    assert ["test", "amazon", "calculator"] in data.card["empty_classes"]
    assert ["train", "amazon", "calculator"] not in data.card["empty_classes"]
    assert data.card["skipped"] == {"count": 0, "files": {}}
    assert data.card["histograms"]["test"][0] == [0, 0, 0, 1, 1, 1, 1, 1, 2, 2]


def test_rows_stand_by_domain_class_and_name(office, raw, tmp_path):
    data = run("office_caltech10", raw, tmp_path / "out")
    for part in ("train", "test"):
        domains, labels = getattr(data, f"{part}_domains"), getattr(data, f"{part}_labels")
        keys = list(zip(domains, labels, data.card[f"{part}_files"], strict=True))
        assert keys == sorted(keys)
        assert len(set(keys)) == len(keys)


def test_the_split_is_always_the_same(office, raw, tmp_path):
    run("office_caltech10", raw, tmp_path / "one")
    run("office_caltech10", raw, tmp_path / "two")
    assert same_bytes(tmp_path / "one", tmp_path / "two")
    # The archive's top folder may be left out.
    for path in list(office.iterdir()):
        path.rename(raw / "office_caltech10" / path.name)
    office.rmdir()
    run("office_caltech10", raw, tmp_path / "three")
    assert same_bytes(tmp_path / "one", tmp_path / "three")


def test_a_file_more_in_one_class_moves_no_other(office, raw, tmp_path):
    before = run("office_caltech10", raw, tmp_path / "one")
    place(office, ["dslr/mug/aaa.jpg", "dslr/mug/zzz.JPG"])
    after = run("office_caltech10", raw, tmp_path / "two")
    for part in ("train", "test"):
        elsewhere = [row for row in rows(after, part) if row[:2] != ("dslr", "mug")]
        assert elsewhere == [row for row in rows(before, part) if row[:2] != ("dslr", "mug")]
    counts = [by_group(data, "train")["dslr", "mug"] for data in (before, after)]
    assert (counts, by_group(after, "test")["dslr", "mug"]) == ([3, 5], 1)


def test_what_is_no_picture_by_its_name_is_left_alone(office, raw, tmp_path):
    run("office_caltech10", raw, tmp_path / "one")
    for name in ("Thumbs.db", "._frame_0000.jpg", ".DS_Store", "notes.txt"):
        (office / "dslr" / "mug" / name).write_bytes(b"")
    run("office_caltech10", raw, tmp_path / "two")
    assert same_bytes(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize("prefix", ["", "office_caltech_10/", "../data/office_caltech_10/"])
@pytest.mark.parametrize("folder", ["", "splits"])
def test_lists_decide(office, raw, tmp_path, prefix, folder):
    names = office_names()
    chosen = {"train": names[0::4] + names[1::4], "test": names[3::4]}
    (office / folder).mkdir(exist_ok=True)
    lines = {part: [prefix + name for name in names[::-1]] for part, names in chosen.items()}
    write_lists(office / folder, lines)
    data = run("office_caltech10", raw, tmp_path / "out")
    for part, expected in chosen.items():
        assert [name for _, _, name in sorted(rows(data, part))] == sorted(expected)
        assert set(by_group(data, part).values()) == {len(expected) // 40}
    digest = hashlib.sha256(find(office, "dslr_test.txt").read_bytes()).hexdigest()
    assert data.card["lists"]["dslr_test.txt"] == digest
    assert len(data.card["lists"]) == 8


def find(root, name):
    return next(path for path in (root / name, root / "splits" / name) if path.exists())


def test_some_lists_are_not_enough(office, raw, tmp_path):
    write_lists(office, {"train": office_names(), "test": []})
    (office / "dslr_test.txt").unlink()
    with pytest.raises(UserError, match=r"dslr_test.txt are missing: add them, or take the others"):
        run("office_caltech10", raw, tmp_path / "out")


def test_pickles_are_not_opened(office, raw, tmp_path, caplog):
    without = run("office_caltech10", raw, tmp_path / "one")
    # Opening this would raise.
    (office / "amazon_train.pkl").write_bytes(b"cbuiltins\nexit\n(tR.")
    data = run("office_caltech10", raw, tmp_path / "two")
    assert rows(data, "test") == rows(without, "test")
    (note,) = set(data.card["notes"]) - set(without.card["notes"])
    assert note.startswith("amazon_train.pkl were not opened: a pickle runs code. docs/data.md")
    assert note in caplog.text


def test_a_missing_class_or_domain_shows_the_layout(office, raw, tmp_path):
    layout = "{amazon,caltech,dslr,webcam}/{back_pack,bike,calculator"
    for path in (office / "dslr" / "mug").iterdir():
        path.unlink()
    (office / "dslr" / "mug").rmdir()
    with pytest.raises(UserError, match=r"there is no folder .*dslr/mug") as caught:
        run("office_caltech10", raw, tmp_path / "out")
    assert layout in str(caught.value)
    (office / "dslr").rename(office / "digital_slr")
    with pytest.raises(UserError, match=r"is not in .*office_caltech10 \(no dslr\)") as caught:
        run("office_caltech10", raw, tmp_path / "out")
    assert layout in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_domain_without_images_is_refused(office, raw, tmp_path):
    for path in (office / "webcam").rglob("*.jpg"):
        path.unlink()
    with pytest.raises(UserError, match="webcam has no train image"):
        run("office_caltech10", raw, tmp_path / "out")


def test_a_slice_is_nested_and_has_as_many_of_each(office, raw, tmp_path):
    seen = []
    for limit in (1, 2, None):
        data = run("office_caltech10", raw, tmp_path / str(limit), limit_per_class=limit)
        assert set(by_group(data, "train").values()) == {limit or 3}
        assert set(by_group(data, "test").values()) == {1}
        seen.append(set(data.card["train_files"]))
    assert seen[0] < seen[1] < seen[2]
    assert read_json(tmp_path / "2" / "card.json")["limit_per_class"] == 2


# --- pixels


def bad_contents():
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    files = {}
    for kind in ("JPEG", "PNG"):
        file = io.BytesIO()
        Image.fromarray(noise).save(file, kind)
        files[kind] = file.getvalue()
    flipped = bytearray(files["PNG"])
    flipped[len(flipped) // 2] ^= 255
    return {
        "empty": b"",
        "text": b"<html>404</html>",
        "cut JPEG": files["JPEG"][:-300],
        "cut PNG": files["PNG"][: len(files["PNG"]) // 2],
        "altered PNG": bytes(flipped),
        "head alone": files["JPEG"][:20],
    }


@pytest.mark.parametrize(("damage", "content"), bad_contents().items())
def test_a_bad_image_is_refused_or_skipped_by_name(office, raw, tmp_path, damage, content):
    before = run("office_caltech10", raw, tmp_path / "one")
    name = before.card["test_files"][7]
    (office / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"1 file\(s\) are no images: {office / name} \(.+on_bad"):
        run("office_caltech10", raw, tmp_path / "two")
    assert not (tmp_path / "two").exists()

    after = run("office_caltech10", raw, tmp_path / "two", on_bad_image="skip")
    assert rows(after, "train") == rows(before, "train")
    assert rows(after, "test") == [row for row in rows(before, "test") if row[2] != name]
    skipped = after.card["skipped"]
    assert (skipped["count"], list(skipped["files"])) == (1, [name])
    assert skipped["files"][name] == "empty" if damage == "empty" else skipped["files"][name]


def test_all_bad_images_are_counted_and_the_first_named(office, raw, tmp_path):
    names = sorted(office_names())[:40]
    for name in names:
        (office / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"40 file\(s\) .* and 35 more\. Replace them") as caught:
        run("office_caltech10", raw, tmp_path / "out")
    assert str(caught.value).count("(empty)") == 5
    # Then a domain has none.
    with pytest.raises(UserError, match="amazon has no train image"):
        run("office_caltech10", raw, tmp_path / "out", on_bad_image="skip")


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_rgb(office, raw, tmp_path, mode):
    name = "amazon/bike/frame_0001.jpg"
    kind = "JPEG" if mode == "CMYK" else "PNG"  # a suffix does not bind the content
    Image.new("RGB", (9, 9), (255, 255, 255)).convert(mode).save(office / name, kind)
    data = run("office_caltech10", raw, tmp_path / "out")
    part = "train" if name in data.card["train_files"] else "test"
    image = getattr(data, f"{part}_images")[data.card[f"{part}_files"].index(name)]
    assert image.shape == (EDGE, EDGE, 3)
    assert image.min() >= 253


def test_an_oblong_image_is_squeezed_to_a_square(office, raw, tmp_path):
    name = "amazon/bike/frame_0001.jpg"
    image = Image.new("RGB", (32, 16), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, 16, 16))
    image.save(office / name, "PNG")
    data = run("office_caltech10", raw, tmp_path / "out")
    part = "train" if name in data.card["train_files"] else "test"
    square = getattr(data, f"{part}_images")[data.card[f"{part}_files"].index(name)]
    assert (square[:, :3] == [255, 0, 0]).all()
    assert (square[:, 5:] == [0, 0, 255]).all()


def test_memory_holds_few_images(raw, tmp_path, small_edges):
    small_edges["office_caltech10"]["edge"] = 224
    place(raw / "office_caltech10", office_names())
    fetch("office_caltech10", raw / "office_caltech10")
    prepare("office_caltech10", raw / "office_caltech10", tmp_path / "one", limit_per_class=1)
    tracemalloc.start()
    try:
        prepare("office_caltech10", raw / "office_caltech10", tmp_path / "two")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = (tmp_path / "two" / "data.safetensors").stat().st_size
    assert size > 160 * 224 * 224 * 3
    assert peak < size / 8


def test_the_file_is_what_safetensors_reads_and_nothing_is_left(office, raw, tmp_path):
    from safetensors.numpy import load_file, save_file

    run("office_caltech10", raw, tmp_path / "sets" / "out")
    path = tmp_path / "sets" / "out" / "data.safetensors"
    save_file(load_file(path), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert [entry.name for entry in (tmp_path / "sets").iterdir()] == ["out"]


def test_a_full_disk_is_named(office, raw, tmp_path, monkeypatch):
    def no_room(dir):
        return os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb")

    monkeypatch.setattr(folders.tempfile, "TemporaryFile", no_room)
    with pytest.raises(UserError, match=rf"could not write pixels to {tmp_path} \(No space left"):
        run("office_caltech10", raw, tmp_path / "out")


# --- DomainNet


def domainnet_lines(classes=CLASSES, train=3, test=2):
    """``(domain, part) -> lines`` with the label numbers of an alphabetical list."""
    numbers = {name: number for number, name in enumerate(sorted(classes))}
    lines = {}
    for domain in DOMAINS:
        suffix = "png" if domain == "quickdraw" else "jpg"
        for part, span in (("train", range(train)), ("test", range(train, train + test))):
            lines[domain, part] = [
                f"{domain}/{name}/{domain}_{numbers[name]:03d}_{i:06d}.{suffix} {numbers[name]}"
                for name in classes
                for i in span
            ]
    return lines


def write_domainnet(root, lines, lists=""):
    (root / lists).mkdir(parents=True, exist_ok=True)
    for (domain, part), entries in lines.items():
        place(root, [line.split()[0] for line in entries])
        (root / lists / f"{domain}_{part}.txt").write_text("\n".join(entries) + "\n")
    return root


@pytest.fixture
def domainnet(raw):
    return write_domainnet(raw / "domainnet" / "DomainNet", domainnet_lines())


@pytest.mark.parametrize("top", ["", "DomainNet"])
@pytest.mark.parametrize("lists", ["", "splits"])
@pytest.mark.parametrize("dataset", ["domainnet", "domainnet_fedbn"])
def test_domainnet_layouts_and_presets(raw, tmp_path, dataset, top, lists):
    lines = domainnet_lines()
    root = write_domainnet(raw / "domainnet" / top, lines, lists)
    # Neither is listed for the chosen classes, so neither is read.
    place(root, ["clipart/bird/not_listed.jpg"])
    (root / lines["clipart", "train"][-1].split()[0]).write_bytes(b"")
    data = run(dataset, raw, tmp_path / "out")
    classes = FEDBN if dataset == "domainnet_fedbn" else DOMAINNET["classes"]
    assert data.card["classes"] == classes
    assert data.card["domains"] == DOMAINS
    for part in ("train", "test"):
        listed = {line.split()[0] for domain in DOMAINS for line in lines[domain, part]}
        expected = {name for name in listed if name.split("/")[1] in classes}
        found = rows(data, part)
        assert {name for _, _, name in found} == expected
        assert len(found) == len(expected)
        assert all(name.split("/")[:2] == [domain, label] for domain, label, name in found)
    assert data.card["histograms"] == {"train": [[3] * 10] * 6, "test": [[2] * 10] * 6}
    source = read_json(raw / dataset / "SOURCE.json")
    assert source["source"] == {"kind": "found in place"}
    assert source["files"] == data.card["lists"]
    assert len(source["files"]) == 12


def test_the_order_of_fgl_s_classes():
    assert DOMAINNET["classes"] == [
        *("airplane", "clock", "axe", "basketball", "bicycle"),
        *("bird", "strawberry", "flower", "pizza", "bracelet"),
    ]


def test_all_classes_stand_in_the_order_of_their_numbers(domainnet, raw, tmp_path, small_edges):
    facts = small_edges["domainnet_345"]["facts"]
    facts |= {part: [1] * len(CLASSES) for part in ("train", "test")}
    data = run("domainnet_345", raw, tmp_path / "out")
    assert data.card["classes"] == sorted(CLASSES)
    assert set(by_group(data, "train").values()) == {3}
    facts["train"] = [1] * 345
    with pytest.raises(UserError, match="have 20 classes under 20 numbers, not 345 under 0 to 344"):
        run("domainnet_345", raw, tmp_path / "out")


def test_a_class_may_lack_in_a_domain(raw, tmp_path):
    lines = domainnet_lines()
    lines["sketch", "test"] = [line for line in lines["sketch", "test"] if "/axe/" not in line]
    write_domainnet(raw / "domainnet", lines)
    data = run("domainnet", raw, tmp_path / "out")
    assert data.card["empty_classes"] == [["test", "sketch", "axe"]]
    assert data.card["histograms"]["test"][5] == [2, 2, 0, 2, 2, 2, 2, 2, 2, 2]


def test_listed_images_that_are_missing_are_counted(domainnet, raw, tmp_path):
    for path in (domainnet / "real" / "pizza").iterdir():
        path.unlink()
    (domainnet / "clipart" / "clock").rename(domainnet / "clipart" / "watch")
    with pytest.raises(UserError, match="10 of the 300 listed images are not in") as caught:
        run("domainnet", raw, tmp_path / "out", on_bad_image="skip")
    number = sorted(CLASSES).index("clock")
    assert f": clipart/clock/clipart_{number:03d}_000000.jpg, " in str(caught.value)
    assert (
        " and 5 more. Put them there:\n"
        "  clipart lacks 5 of 50: clock 5 of 5\n"
        "  real lacks 5 of 50: pizza 5 of 5\n"
        "The layout is\n"
    ) in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda line: line.split()[0], r"line 1: .* is not 'clipart/<class>/<file> <label>'"),
        (lambda line: line.replace("clipart/", "real/", 1), r"line 1: .* is not 'clipart/<class>"),
        (lambda line: "../clipart/../x.jpg 1", r"line 1: .* is not 'clipart/<class>/<file>"),
        (lambda line: "airplane.jpg 1", r"line 1: .* is not 'clipart/<class>/<file> <label>'"),
        (lambda line: line.split()[0] + " 3", "line 2: .* folder airplane has the label 0, not 3"),
        (lambda line: line.split()[0] + " bird", "has the label bird, not airplane: mend"),
    ],
)
def test_a_wrong_line_is_named(raw, tmp_path, edit, reason):
    lines = domainnet_lines()
    root = write_domainnet(raw / "domainnet", lines)
    entries = lines["clipart", "train"]
    path = root / "clipart_train.txt"
    path.write_text("\n".join([edit(entries[0]), *entries[1:]]))
    with pytest.raises(UserError, match=f"{path}, {reason}" if "line" in reason else reason):
        run("domainnet", raw, tmp_path / "out")


def test_a_list_that_is_no_text_is_refused(domainnet, raw, tmp_path):
    (domainnet / "real_test.txt").write_bytes(b"\x80\x04\x95")
    with pytest.raises(UserError, match=r"real_test\.txt is no plain text"):
        run("domainnet", raw, tmp_path / "out")


def test_lists_of_another_editor_say_the_same(domainnet, raw, tmp_path):
    run("domainnet", raw, tmp_path / "one")
    for path in domainnet.glob("*_t*.txt"):
        text = path.read_text(encoding="utf-8").replace("\n", "\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    data = run("domainnet", raw, tmp_path / "two")
    for part in ("train", "test"):
        assert data.card[f"{part}_files"] == load(tmp_path / "one").card[f"{part}_files"]
    assert data.card["classes"] == DOMAINNET["classes"]


def test_a_file_whose_name_is_no_text(office, raw, tmp_path):
    folder = office / OFFICE["facts"]["domains"][0] / OFFICE["classes"][0]
    names = [b"caf\xe9.jpg", b"two\nlines.jpg", "\u65e5\u672c.jpg".encode()]
    for name in names:
        path = folder / os.fsdecode(name)
        path.write_bytes(picture(f"{folder.name}/{path.name}".encode(errors="replace").decode()))
    card = run("office_caltech10", raw, tmp_path / "out").card
    files = {Path(file).name for part in ("train", "test") for file in card[f"{part}_files"]}
    assert {os.fsdecode(name) for name in names} <= files


def test_an_image_on_both_sides_is_refused(raw, tmp_path):
    lines = domainnet_lines()
    lines["real", "test"] += lines["real", "train"][:3]
    write_domainnet(raw / "domainnet", lines)
    with pytest.raises(UserError, match="3 images are listed for training and for testing: real/"):
        run("domainnet", raw, tmp_path / "out")


def test_an_image_listed_twice_counts_once(raw, tmp_path):
    lines = domainnet_lines()
    lines["real", "train"] += lines["real", "train"][:3]
    write_domainnet(raw / "domainnet", lines)
    data = run("domainnet", raw, tmp_path / "out")
    assert data.card["histograms"]["train"] == [[3] * 10] * 6


def test_a_class_that_no_list_names_is_refused(raw, tmp_path):
    write_domainnet(raw / "domainnet", domainnet_lines(DOMAINNET["classes"]))
    assert run("domainnet", raw, tmp_path / "out").n_classes == 10
    with pytest.raises(UserError, match="name no image of feather, headphones, ice_cream"):
        run("domainnet_fedbn", raw, tmp_path / "other")


def test_what_is_too_large_is_refused_before_it_is_read(domainnet, raw, tmp_path, monkeypatch):
    size = 300 * EDGE * EDGE * 3
    monkeypatch.setattr(folders, "MOST_BYTES", size - 1)
    min((domainnet / "real" / "pizza").iterdir()).write_bytes(b"")
    with pytest.raises(UserError, match=r"300 images of 8x8 pixels .*: lower its edge in .*limit"):
        run("domainnet", raw, tmp_path / "out")
    monkeypatch.setattr(folders, "MOST_BYTES", size)
    assert len(run("domainnet", raw, tmp_path / "out", on_bad_image="skip").train_labels) == 179


def test_all_of_domainnet_fits_at_its_edge_and_not_at_224():
    facts = TABLE["domainnet_345"]["facts"]
    count = sum(facts["train"]) + sum(facts["test"])
    assert count == 586_575
    folders._require_room("domainnet_345", count, TABLE["domainnet_345"]["edge"])
    with pytest.raises(UserError, match="586575 images of 224x224 pixels make 88 GB, more than"):
        folders._require_room("domainnet_345", count, 224)


# --- Camelyon17

COLUMNS = ["", "patient", "node", "x_coord", "y_coord", "tumor", "slide", "center", "split"]


def patches(per_class=12, poor=None):
    """Lines of metadata.csv; hospital ``poor`` has six patches with a tumour."""
    lines = []
    for center in range(5):
        for tumor in range(2):
            for i in range(6 if tumor and center == poor else per_class):
                patient, node = f"{20 * center + 4 + i % 2:03d}", i % 3
                x, y = 32 * i, 1000 * center + tumor
                lines.append(
                    [len(lines), patient, node, x, y, tumor, 10 * center + i % 2, center, 0]
                )
    return lines


def patch_name(line):
    place = f"patient_{line[1]}_node_{line[2]}"
    return f"patches/{place}/patch_{place}_x_{line[3]}_y_{line[4]}.png"


def write_camelyon(root, lines, columns=COLUMNS):
    root.mkdir(parents=True, exist_ok=True)
    with open(root / "metadata.csv", "w", newline="") as file:
        csv.writer(file).writerows([columns, *lines])
    return root


@pytest.fixture
def camelyon(raw, small_edges):
    small_edges["camelyon17"]["cap"] = {"train": 5, "test": 2}
    root = write_camelyon(raw / "camelyon17" / "camelyon17_v1.0", patches())
    place(root, map(patch_name, patches()))
    return root


def test_hospitals_have_as_many_of_both_classes(camelyon, raw, tmp_path):
    data = run("camelyon17", raw, tmp_path / "out")
    assert data.card["classes"] == ["lymph node", "lymph node containing metastatic tumor tissue"]
    assert data.card["domains"] == [f"hospital {number}" for number in range(5)]
    assert data.card["histograms"] == {"train": [[5, 5]] * 5, "test": [[2, 2]] * 5}
    meant = {patch_name(line): (line[7], line[5]) for line in patches()}
    train, test = ([row[2] for row in rows(data, part)] for part in ("train", "test"))
    assert not set(train) & set(test)
    for part, names in (("train", train), ("test", test)):
        columns = (getattr(data, f"{part}_{what}").tolist() for what in ("domains", "labels"))
        assert [meant[name] for name in names] == list(zip(*columns, strict=True))
    assert "patches/patient_004_node_0/" in " ".join(train + test)


def test_only_the_chosen_patches_are_read(camelyon, raw, tmp_path):
    data = run("camelyon17", raw, tmp_path / "one")
    for line in patches():
        if patch_name(line) not in data.card["train_files"] + data.card["test_files"]:
            (camelyon / patch_name(line)).unlink()
    # Nor does the order of the table, or a patient's number without its zeros, change anything.
    lines = [[*line[:1], int(line[1]), *line[2:]] for line in reversed(patches())]
    write_camelyon(camelyon, lines)
    again = run("camelyon17", raw, tmp_path / "two")
    for part in ("train", "test"):
        assert rows(again, part) == rows(data, part)


def test_a_poor_hospital_keeps_four_fifths_for_training(raw, tmp_path, small_edges):
    small_edges["camelyon17"]["cap"] = {"train": 8, "test": 3}
    root = write_camelyon(raw / "camelyon17", patches(poor=3))
    place(root, map(patch_name, patches(poor=3)))
    data = run("camelyon17", raw, tmp_path / "out")
    assert data.card["histograms"]["train"] == [[8, 8]] * 3 + [[8, 5]] + [[8, 8]]
    assert data.card["histograms"]["test"] == [[2, 2]] * 3 + [[2, 1]] + [[2, 2]]


def test_a_patch_more_moves_no_other_hospital(camelyon, raw, tmp_path):
    before = run("camelyon17", raw, tmp_path / "one")
    more = [999, "099", 1, 7, 7, 1, 49, 4, 0]
    place(camelyon, [patch_name(more)])
    write_camelyon(camelyon, [*patches(), more])
    after = run("camelyon17", raw, tmp_path / "two")
    for part in ("train", "test"):
        kept = [
            [
                row
                for row in rows(data, part)
                if row[:2] != ("hospital 4", before.card["classes"][1])
            ]
            for data in (before, after)
        ]
        assert kept[0] == kept[1]
        assert len(kept[0]) == 9 * {"train": 5, "test": 2}[part]


def test_a_missing_patch_is_named(camelyon, raw, tmp_path):
    name = run("camelyon17", raw, tmp_path / "one").card["train_files"][0]
    (camelyon / name).unlink()
    with pytest.raises(UserError, match=f"1 of the 70 listed images are not in .*: {name}. Put"):
        run("camelyon17", raw, tmp_path / "two")


def test_a_table_of_another_editor_says_the_same(camelyon, raw, tmp_path):
    # The mark stands before the first column, which is one that is read.
    write_camelyon(camelyon, [line[1:] for line in patches()], COLUMNS[1:])
    before = run("camelyon17", raw, tmp_path / "one").card
    path = camelyon / "metadata.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    after = run("camelyon17", raw, tmp_path / "two").card
    for part in ("train", "test"):
        assert after[f"{part}_files"] == before[f"{part}_files"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ([0, "004", 4, 1, 2, 2, 0, 0, 0], "line 2: tumor is 0 or 1 and center 0 to 4"),
        ([0, "004", 4, 1, 2, 1, 0, 5, 0], "line 2: tumor is 0 or 1 and center 0 to 4"),
        ([0, "004", 4, "here", 2, 1, 0, 0, 0], "line 2: invalid literal.*'here'"),
        ([0, "004"], "line 2: int.. argument"),
    ],
)
def test_a_wrong_table_is_named(camelyon, raw, tmp_path, line, reason):
    write_camelyon(camelyon, [line])
    with pytest.raises(UserError, match=f"metadata.csv, {reason}.*: put WILDS's file there"):
        run("camelyon17", raw, tmp_path / "out")
    write_camelyon(camelyon, [line], [name for name in COLUMNS if name not in ("node", "center")])
    with pytest.raises(UserError, match=r"metadata\.csv has no column node, center"):
        run("camelyon17", raw, tmp_path / "out")


# --- found or not


@pytest.mark.parametrize("dataset", PLACED)
def test_what_is_absent_is_said_with_the_layout(raw, tmp_path, dataset):
    sentence, spec = missing(dataset, raw), source_of(dataset)
    assert f"{spec['title']} is not in {raw / spec['folder']} (no {spec['entries'][0]}" in sentence
    assert "it is never downloaded; put it there by hand" in sentence
    assert sentence.endswith(spec["layout"])
    for call in (lambda: fetch(dataset, raw / dataset), lambda: run(dataset, raw, tmp_path / "o")):
        with pytest.raises(UserError) as caught:
            call()
        assert str(caught.value) == sentence
    assert not (raw / dataset / "SOURCE.json").exists()
    # Names alone are looked at.
    root = raw / spec["folder"] / spec["top"]
    for name in spec["entries"]:
        (root / name).mkdir(parents=True)
    assert missing(dataset, raw) is None
    (root / spec["entries"][-1]).rmdir()
    assert f"(no {spec['entries'][-1]}):" in missing(dataset, raw)


def test_a_set_that_is_taken_away_is_missed_when_prepared(office, raw, tmp_path):
    fetch("office_caltech10", raw / "office_caltech10")
    office.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"no amazon, caltech, dslr, webcam"):
        prepare("office_caltech10", raw / "office_caltech10", tmp_path / "out")


@pytest.mark.parametrize("dataset", PLACED)
def test_the_real_entries(dataset):
    spec = TABLE[dataset]
    facts, layout = spec["facts"], spec["layout"]
    assert spec["optional"] is True
    assert (spec["files"], spec["sources"]) == ({}, [])
    assert callable(import_module(*reader_modules(dataset)).listing)
    by_number = {
        "domainnet_345": 345,
        "domainnet_30": 345,
        "domainnet_90": 90,
        "domainnet_90_six": 90,
    }
    classes = spec["classes"] or [None] * by_number.get(dataset, 60)  # NICO++ has 60
    for part in ("train", "test"):
        assert len(facts[part]) == len(classes)
        assert max(facts[part]) - min(facts[part]) <= 1
    assert len(set(classes)) == len(spec["classes"] or "x")
    assert f"data/raw/{spec['folder']}/{spec['top']}/" in layout
    # Arrays lie one after another in the file; the 64-bit labels stay aligned.
    assert spec["edge"] % 4 == 0


def test_the_real_counts_are_those_of_the_sheet():
    counts = {
        name: [sum(TABLE[name]["facts"][part]) for part in ("train", "test")] for name in PLACED
    }
    assert sum(counts["office_caltech10"]) == 958 + 1123 + 157 + 295
    assert counts["domainnet_345"] == [409_832, 176_743]
    assert counts["domainnet"] == [round(n * 10 / 345) for n in (409_832, 176_743)]
    assert counts["camelyon17"] == [5 * 2000, 5 * 500]
    cap = TABLE["camelyon17"]["cap"]
    assert [5 * 2 * cap[part] for part in ("train", "test")] == counts["camelyon17"]
    edges = {name: TABLE[name]["edge"] for name in PLACED}
    assert edges == {
        **dict.fromkeys(PLACED, 224),
        "domainnet_345": 64,
        "camelyon17": 96,
    }


def test_equal_totals_are_spread_as_evenly_as_they_go():
    assert sources._evenly(11, 4) == [3, 3, 3, 2]
    assert sources._evenly(8, 4) == [2, 2, 2, 2]
    assert json.dumps(TABLE["emnist"]["facts"]["test"]) == json.dumps([1877] * 11 + [1876] * 51)


# --- training and test apart, and nothing missing


def test_a_training_image_with_the_pixels_of_a_test_image_is_refused_or_dropped(
    office, raw, tmp_path
):
    before = run("office_caltech10", raw, tmp_path / "one")
    train, test = before.card["train_files"][3], before.card["test_files"][8]
    # The same pixels in another format, domain and class.
    Image.open(io.BytesIO((office / test).read_bytes())).save(office / train, "PNG")
    with pytest.raises(UserError) as caught:
        run("office_caltech10", raw, tmp_path / "two")
    assert str(caught.value) == (
        "office_caltech10: 1 training images have the pixels of a test image: "
        f"{train} = {test} (in {office}). Take one of each two away, or set "
        "datasets.office_caltech10.on_twins to drop in params.yaml: the training ones are then left "
        "out, and the card names them"
    )
    assert not (tmp_path / "two").exists()
    after = run("office_caltech10", raw, tmp_path / "two", on_twins="drop")
    assert rows(after, "test") == rows(before, "test")
    assert rows(after, "train") == [row for row in rows(before, "train") if row[2] != train]
    assert after.card["twins"] == {"count": 1, "left_out": {train: test}}
    assert before.card["twins"] == {"count": 0, "left_out": {}}


def test_twins_in_one_part_are_left_alone(office, raw, tmp_path):
    one, other = run("office_caltech10", raw, tmp_path / "one").card["train_files"][3:5]
    (office / one).write_bytes((office / other).read_bytes())
    assert run("office_caltech10", raw, tmp_path / "two").card["twins"]["count"] == 0


def test_the_card_counts_what_was_converted(office, raw, tmp_path):
    names = sorted(office_names())
    Image.new("I;16", (6, 6), 40_000).save(office / names[0], "PNG")
    Image.new("L", (6, 6), 17).save(office / names[1], "JPEG")
    Image.new("RGBA", (6, 6), (9, 9, 9, 99)).save(office / names[2], "WEBP")
    assert run("office_caltech10", raw, tmp_path / "out").card["converted"] == {
        "16-bit grey scaled to 8 bits": 1,
        "grey as RGB": 2,
        "transparency over white": 1,
    }


@pytest.mark.parametrize("suffix", ["heic", "svg", "webp"])
def test_a_picture_of_another_format_is_read_or_refused_and_not_passed_over(
    office, raw, tmp_path, suffix
):
    name = f"dslr/mug/zzz.{suffix}"
    content = picture("dslr/mug/zzz.png", kind="WEBP") if suffix == "webp" else b"<svg/>"
    (office / name).write_bytes(content)
    if suffix == "webp":
        card = run("office_caltech10", raw, tmp_path / "out").card
        assert name in card["train_files"] + card["test_files"]
    else:
        with pytest.raises(UserError, match=rf"{name} \(none of the formats that are known: AVIF"):
            run("office_caltech10", raw, tmp_path / "out")


def test_half_an_unzip_of_a_set_whose_totals_are_known(raw, tmp_path, small_edges):
    whole = OFFICE["facts"]["whole"]
    assert sum(whole.values()) == 2533
    small_edges["office_caltech10"]["facts"]["whole"] = dict.fromkeys(whole, 40)
    root = raw / "office_caltech10" / "office_caltech_10"
    place(root, office_names())
    assert run("office_caltech10", raw, tmp_path / "one").card["counts"] == {
        "train": 120,
        "test": 40,
    }
    for name in ("mouse", "mug", "projector"):
        for path in (root / "dslr" / name).iterdir():
            path.unlink()
    (root / "webcam" / "bike" / "frame_0002.jpg").unlink()
    with pytest.raises(UserError) as caught:
        run("office_caltech10", raw, tmp_path / "two")
    assert str(caught.value) == (
        f"office_caltech10: {root} holds another number of images than the whole set has:\n"
        "  dslr: 28 of 40, none of mouse, mug, projector\n"
        "  webcam: 39 of 40\n"
        "Unpack the archive again. If yours differs on purpose, take `whole` out of the entry "
        "office_caltech10 in src/fedgenbench/data/sources.yaml"
    )


def test_a_cut_list_or_table_is_named(camelyon, raw, tmp_path, small_edges):
    lines = domainnet_lines()
    small_edges["domainnet"]["facts"]["whole"] = dict.fromkeys(DOMAINS, 5 * len(CLASSES))
    root = write_domainnet(raw / "domainnet", lines)
    assert len(run("domainnet", raw, tmp_path / "one").train_labels) == 180
    (root / "real_train.txt").write_text("\n".join(lines["real", "train"][:-7]))
    with pytest.raises(UserError, match=rf"has:\n  real: {5 * len(CLASSES) - 7} of 100\nUnpack"):
        run("domainnet", raw, tmp_path / "two")
    hospitals = dict.fromkeys(TABLE["camelyon17"]["facts"]["domains"], 24)
    small_edges["camelyon17"]["facts"]["whole"] = hospitals
    assert run("camelyon17", raw, tmp_path / "three").card["counts"] == {"train": 50, "test": 20}
    write_camelyon(camelyon, patches()[:-1])
    with pytest.raises(UserError, match="has:\n  hospital 4: 23 of 24\n"):
        run("camelyon17", raw, tmp_path / "four")


def test_a_patch_that_stands_twice_in_the_table_is_named(camelyon, raw, tmp_path):
    lines = patches()
    write_camelyon(camelyon, [*lines, lines[5]])
    name = patch_name(lines[5])
    with pytest.raises(UserError, match=rf"metadata\.csv, line 122: {name} stands in line 7 too"):
        run("camelyon17", raw, tmp_path / "out")


def test_the_whole_sets_are_those_of_the_sheet():
    whole = {name: TABLE[name]["facts"].get("whole") for name in PLACED}
    assert sum(whole["domainnet"].values()) == 409_832 + 176_743
    assert whole["domainnet"]["clipart"] == 33_525 + 14_604
    assert sum(whole["camelyon17"].values()) == 455_954
    for name in PLACED:
        if whole[name]:
            assert set(TABLE[name]["facts"]["domains"]) <= set(whole[name])
