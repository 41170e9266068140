"""FedLMG's data sets: who goes where, what is capped, and what is refused."""

import copy
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from placed_folders import EDGE, place, rows, run

from fedgenbench.core.errors import UserError
from fedgenbench.data import sources
from fedgenbench.data.readers import listed, nico, openimage
from fedgenbench.data.readers.listing import PARTS, Row
from fedgenbench.data.sources import missing

TABLE = sources.source_table()
SETS = ["domainnet_90", "domainnet_90_six", "openimage", "nico_common", "nico_unique"]
FIVE = ["clipart", "infograph", "painting", "real", "sketch"]
CONTEXTS = ["autumn", "dim", "grass", "outdoor", "rock", "water"]
CLIENTS = [f"client {number}" for number in range(6)]
FINE = TABLE["openimage"]["fine"]
COARSE = TABLE["openimage"]["classes"]


@pytest.fixture(autouse=True)
def small(set_table):
    """The real entries with pictures of a few pixels. Returns the table, for further changes."""
    table = copy.deepcopy(TABLE)
    for name in SETS:
        table[name]["edge"] = EDGE
    for spec in table.values():
        spec["facts"].pop("whole", None)
    set_table(table)
    return table


def names(rows, domain, label):
    return [row.name for row in rows if (row.domain, row.label) == (domain, label)]


def write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


# --- caps


@given(
    st.lists(st.builds(Row, st.integers(0, 2), st.integers(0, 2), st.text(max_size=2))),
    st.integers(0, 4),
)
def test_a_cap_keeps_the_first_of_each_domain_and_class(rows, cap):
    kept = listed.capped({"train": rows, "test": rows}, {"train": cap})
    assert kept["test"] == rows
    for group in {(row.domain, row.label) for row in rows}:
        assert names(kept["train"], *group) == names(rows, *group)[:cap]
    # In the order of the list, across groups too.
    rest = iter(rows)
    assert all(row in rest for row in kept["train"])


# --- DomainNet's first 90 classes


def number_name(number):
    """A class's folder, whose order is not that of the numbers."""
    return f"thing_{37 * number % 101:03d}"


def domainnet(root, classes, train, test, domains=TABLE["domainnet"]["facts"]["domains"]):
    """The lists alone, with the files of a class in falling order."""
    for domain in domains:
        for part, count in (("train", train), ("test", test)):
            write(
                root / f"{domain}_{part}.txt",
                [
                    f"{domain}/{number_name(k)}/{part}_{i:03d}.jpg {k}"
                    for k in range(classes)
                    for i in reversed(range(count))
                ],
            )
    return root


def test_the_first_ninety_labels_stand_in_the_order_of_their_numbers(tmp_path):
    root = domainnet(tmp_path, classes=93, train=2, test=1)
    for dataset, domains in (("domainnet_90", 5), ("domainnet_90_six", 6)):
        found = listed.listing(dataset, root)
        assert found.classes == [number_name(k) for k in range(90)]
        assert found.classes != sorted(found.classes)
        assert [len(found.rows[part]) for part in PARTS] == [domains * 90 * 2, domains * 90]
        assert len(found.lists) == 2 * domains
        for part in PARTS:
            for row in found.rows[part]:
                domain = TABLE[dataset]["facts"]["domains"][row.domain]
                assert row.name.startswith(f"{domain}/{number_name(row.label)}/")


def test_thirty_training_images_are_kept_in_list_order_and_every_test_image(tmp_path):
    root = domainnet(tmp_path, classes=90, train=33, test=32)
    found = listed.listing("domainnet_90", root)
    for domain, name in enumerate(FIVE):
        for k in (0, 41, 89):
            kept = [f"{name}/{number_name(k)}/train_{i:03d}.jpg" for i in range(32, 2, -1)]
            assert names(found.rows["train"], domain, k) == kept
            assert len(names(found.rows["test"], domain, k)) == 32
    assert len(found.rows["train"]) == 5 * 90 * 30
    assert found.notes == [
        "The split of the lists.",
        "train: the first 30 images of each domain and class, in the order of the lists.",
    ]


def test_a_repeated_line_takes_no_place_below_the_cap(tmp_path):
    root = domainnet(tmp_path, classes=90, train=30, test=1)
    path = root / "sketch_train.txt"
    path.write_text("\n".join([path.read_text().splitlines()[0]] * 9) + "\n" + path.read_text())
    assert len(names(listed.listing("domainnet_90", root).rows["train"], 4, 0)) == 30


def test_the_other_sets_of_domainnet_have_no_cap(small, tmp_path):
    small["domainnet_345"]["facts"] |= {part: [1] * 93 for part in PARTS}
    found = listed.listing("domainnet_345", domainnet(tmp_path, classes=93, train=33, test=1))
    assert len(found.rows["train"]) == 6 * 93 * 33
    assert found.notes == ["The split of the lists."]


def test_quickdraw_changes_no_other_domain(tmp_path):
    root = domainnet(tmp_path, classes=90, train=31, test=2)
    five, six = (listed.listing(name, root) for name in ("domainnet_90", "domainnet_90_six"))
    for part in PARTS:
        kept = [row.name for row in six.rows[part] if row.domain != 3]
        assert kept == [row.name for row in five.rows[part]]
        assert {row.name.split("/")[0] for row in six.rows[part] if row.domain == 3} == {
            "quickdraw"
        }
    # Nor is quickdraw asked for where it is not used.
    assert not [name for name in TABLE["domainnet_90"]["entries"] if "quickdraw" in name]


def test_lists_that_miss_one_of_the_ninety_are_refused(tmp_path):
    root = domainnet(tmp_path, classes=93, train=1, test=1)
    for path in root.iterdir():
        path.write_text("".join(line for line in path.open() if f"/{number_name(17)}/" not in line))
    with pytest.raises(UserError, match="have 89 classes under 89 numbers, not 90 under 0 to 89"):
        listed.listing("domainnet_90", root)


def test_domainnet_s_pixels(small, raw, tmp_path):
    small["domainnet_90"] |= {"first": 3, "cap": {"train": 2}}
    small["domainnet_90"]["facts"] |= {part: [1] * 3 for part in PARTS}
    root = domainnet(raw / "domainnet" / "DomainNet", 4, train=3, test=3, domains=FIVE)
    # No image is read but these.
    kept = {"train": (2, 1), "test": (2, 1, 0)}
    for part, numbers in kept.items():
        place(
            root,
            [
                f"{d}/{number_name(k)}/{part}_{i:03d}.jpg"
                for d in FIVE
                for k in range(3)
                for i in numbers
            ],
        )
    data = run("domainnet_90", raw, tmp_path / "out")
    assert data.card["domains"] == FIVE
    assert data.card["histograms"] == {"train": [[2] * 3] * 5, "test": [[3] * 3] * 5}
    for part in PARTS:
        assert all(name.split("/")[:2] == [d, label] for d, label, name in rows(data, part))


# --- OpenImage


def identifier(name):
    return f"/m/{name.lower().replace(' ', '_')}"


FINE_NAMES = sorted({name for six in FINE for name in six})
TABLES = {
    "classes": "metadata/classes.csv",
    "labels": "labels/classifications.csv",
}


def open_images(root, lines, header=True):
    """``lines``: part -> (image, class, confidence)."""
    for part in PARTS:
        classes = [f"{identifier(name)},{name}" for name in ["Person", *FINE_NAMES]]
        write(root / part / TABLES["classes"], ["id,label"] * header + classes)
        entries = [
            f"{image},verification,{identifier(name)},{confidence}"
            for image, name, confidence in lines.get(part, [])
        ]
        write(root / part / TABLES["labels"], ["ImageID,Source,LabelName,Confidence", *entries])
    return root


def one_of_each(count):
    """``count`` images of every fine class."""
    return [
        (f"{number:04d}_{i}", name, 1)
        for number, name in enumerate(FINE_NAMES)
        for i in range(count)
    ]


@pytest.mark.parametrize("top", ["", "openimage"])
@pytest.mark.parametrize("header", [True, False])
def test_client_i_has_the_ith_fine_class_of_each_coarse_one(small, raw, tmp_path, top, header):
    small["openimage"]["cap"] = {"train": 2, "test": 1}
    lines = {"train": one_of_each(2), "test": [(f"t{i}", n, c) for i, n, c in one_of_each(1)]}
    root = open_images(raw / "openimage" / top, lines, header)
    place(root, [f"{part}/data/{image}.jpg" for part in PARTS for image, _, _ in lines[part]])
    data = run("openimage", raw, tmp_path / "out")
    assert data.card["classes"] == COARSE
    assert data.card["domains"] == CLIENTS
    assert data.card["histograms"] == {"train": [[2] * 20] * 6, "test": [[1] * 20] * 6}
    for part in PARTS:
        shown = {f"{part}/data/{image}.jpg": name for image, name, _ in lines[part]}
        for client, coarse, name in rows(data, part):
            assert shown[name] == FINE[COARSE.index(coarse)][CLIENTS.index(client)]
    assert set(data.card["lists"]) == {f"{p}/{name}" for p in PARTS for name in TABLES.values()}


def test_the_first_thirty_and_thousand_are_kept_in_file_order(tmp_path):
    lines = {
        # A repeated line takes no place.
        "train": [("a32", "Bagel", 1), *((f"a{i}", "Bagel", 1) for i in reversed(range(33)))],
        "test": [(f"b{i}", "Bagel", 1) for i in reversed(range(1003))],
    }
    found = openimage.listing("openimage", open_images(tmp_path, lines)).rows
    assert set(names(found["train"], 1, 0)) == {f"train/data/a{i}.jpg" for i in range(3, 33)}
    assert names(found["train"], 1, 0)[0] == "train/data/a32.jpg"
    assert set(names(found["test"], 1, 0)) == {f"test/data/b{i}.jpg" for i in range(3, 1003)}
    assert [len(found[part]) for part in PARTS] == [30, 1000]


def test_negatives_doubts_and_other_classes_are_dropped(tmp_path):
    lines = [
        *((f"n{i}", "Bagel", 0) for i in range(40)),
        *((f"m{i}", "Bagel", 0.9) for i in range(40)),
        ("p", "Person", 1),
        ("yes", "Bagel", 1),
        ("float", "Bagel", "1.0"),
    ]
    found = openimage.listing("openimage", open_images(tmp_path, {"train": lines}))
    assert found.rows == {
        "train": [Row(1, 0, "train/data/yes.jpg"), Row(1, 0, "train/data/float.jpg")],
        "test": [],
    }
    assert "labels with a Confidence of 1 alone" in found.notes[0]


def test_an_image_of_several_classes_stands_under_each(tmp_path):
    lines = [
        ("meal", "Apple", 1),
        ("meal", "Lemon", 1),
        ("meal", "Chair", 1),
        ("meal", "Apple", 1),  # by another annotator
        ("alone", "Apple", 1),
        ("blade", "Knife", 1),
    ]
    found = openimage.listing("openimage", open_images(tmp_path, {"test": lines}))
    fruit, furniture, utensil, weapon = (
        COARSE.index(name) for name in ("Fruit", "Furniture", "Kitchen utensil", "Weapon")
    )
    assert sorted(found.rows["test"]) == sorted(
        [
            Row(0, fruit, "test/data/meal.jpg"),
            Row(1, fruit, "test/data/meal.jpg"),
            Row(0, furniture, "test/data/meal.jpg"),
            Row(0, fruit, "test/data/alone.jpg"),
            Row(3, utensil, "test/data/blade.jpg"),
            Row(0, weapon, "test/data/blade.jpg"),
        ]
    )
    assert found.notes[-1].startswith("0 training and 2 test images have several of the fine")


def test_two_identifiers_of_one_name_are_both_read(tmp_path):
    root = open_images(tmp_path, {"train": [("a", "Bagel", 1)]})
    for name, line in (("classes", "/m/other,Bagel"), ("labels", "b,verification,/m/other,1")):
        with (root / "train" / TABLES[name]).open("a") as file:
            file.write(line + "\n")
    found = openimage.listing("openimage", root).rows["train"]
    assert names(found, 1, 0) == ["train/data/a.jpg", "train/data/b.jpg"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("x,verification,/m/bagel,sure", "could not convert string to float: 'sure'"),
        ("x,verification", "list index out of range"),
        ("../x,verification,/m/bagel,1", "'../x' is no image's name"),
        (",verification,/m/bagel,1", "'' is no image's name"),
    ],
)
def test_a_wrong_line_of_the_labels_is_named(tmp_path, line, reason):
    root = open_images(tmp_path, {"train": one_of_each(1)})
    path = root / "train" / TABLES["labels"]
    lines = path.read_text().splitlines()
    write(path, [*lines[:4], line, *lines[4:]])
    with pytest.raises(UserError) as caught:
        openimage.listing("openimage", root)
    assert str(caught.value) == f"{path}, line 5: {reason}: put Open Images' file there"


def test_tables_of_another_kind_are_refused(tmp_path):
    root = open_images(tmp_path, {})
    path = root / "test" / TABLES["labels"]
    path.write_text("ImageID,Source,Label\n")
    with pytest.raises(UserError, match=f"{path} has no column LabelName, Confidence: put Open"):
        openimage.listing("openimage", root)
    path = root / "train" / TABLES["classes"]
    write(path, [line for line in path.read_text().splitlines() if "Dagger" not in line])
    with pytest.raises(UserError, match=f"{path} names no class Dagger: put a table there"):
        openimage.listing("openimage", root)


def test_a_listed_image_that_is_missing_is_named(small, raw, tmp_path):
    small["openimage"]["cap"] = {"train": 1, "test": 1}
    lines = {"train": one_of_each(1), "test": [(f"t{i}", n, c) for i, n, c in one_of_each(1)]}
    root = open_images(raw / "openimage", lines)
    place(root, [f"{part}/data/{image}.jpg" for part in PARTS for image, _, _ in lines[part]])
    (root / "test" / "data" / "t0007_0.jpg").unlink()
    with pytest.raises(UserError, match=r"images are not in .*: test/data/t0007_0\.jpg\. Put"):
        run("openimage", raw, tmp_path / "out")


def test_openimage_s_parts_share_no_image(small, tmp_path):
    lines = {"train": [("a", "Bagel", 1), ("b", "Lemon", 1)], "test": [("b", "Apple", 1)]}
    root = open_images(tmp_path, lines)
    with pytest.raises(UserError, match=r"1 images are listed for .* testing: b\.jpg\. Put Open"):
        openimage.listing("openimage", root)


def test_the_documented_command_prints_the_wanted_images(tmp_path):
    lines = {"train": [("b", "Lemon", 1), ("b", "Apple", 1)], "test": [("a", "Bagel", 1)]}
    open_images(tmp_path / "data" / "raw" / "openimage" / "openimage", lines)
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    code = text.split('$ python -c "\n')[1].split('"\n')[0]
    command = [sys.executable, "-c", textwrap.dedent(code)]
    printed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert printed.stdout == "test/a\ntrain/b\n"


def test_an_absent_table_shows_the_layout(raw, tmp_path):
    root = open_images(raw / "openimage", {})
    for part in PARTS:
        (root / part / "data").mkdir()
    assert missing("openimage", raw) is None
    (root / "test" / TABLES["classes"]).unlink()
    with pytest.raises(UserError, match=r"\(no test/metadata/classes\.csv\)") as caught:
        run("openimage", raw, tmp_path / "out")
    assert "{train,test}/labels/classifications.csv" in str(caught.value)


def test_openimage_s_classes():
    assert len(COARSE) == len(FINE) == 20
    assert all(len(six) == len(set(six)) == 6 for six in FINE)
    # One name serves twice, and never to one client.
    counts = Counter(name for six in FINE for name in six)
    assert {name for name, count in counts.items() if count > 1} == {"Knife"}
    assert all(len(set(client)) == 20 for client in zip(*FINE, strict=True))
    assert dict(zip(COARSE, FINE, strict=True))["Sports equipment (Ball)"][5] == "Volleyball (Ball)"


# --- NICO++

KINDS = ["airplane", "Hot Air Balloon", "car", "bear"]
WORDS = ["airplane", "bear", "car", "hot air balloon"]


@pytest.fixture
def four(small):
    """NICO++ with four classes and two training images each."""
    for name in ("nico_common", "nico_unique"):
        small[name]["cap"] = {"train": 2}
        small[name]["facts"] |= {part: [1] * len(KINDS) for part in PARTS}
    return small


def common_lines(train=3, test=2, prefix=""):
    """List's name -> lines, with the files of a class in falling order and unsorted numbers."""
    return {
        f"{context}_{part}.txt": [
            f"{prefix}NICO_DG/{context}/{kind}/{part}_{i:02d}.jpg {7 * k}"
            for k, kind in enumerate(KINDS)
            for i in reversed(range(count))
        ]
        for context in CONTEXTS
        for part, count in (("train", train), ("test", test))
    }


def write_common(root, lines):
    for name, entries in lines.items():
        write(root / "NICO_DG_official" / name, entries)
        place(root, [f"NICO_DG/{line.rpartition(' ')[0].split('NICO_DG/')[1]}" for line in entries])
    return root


@pytest.mark.parametrize("prefix", ["", "/somewhere/data/"])
@pytest.mark.parametrize("top", ["", "NICOpp"])
def test_common_contexts_are_clients(four, raw, tmp_path, prefix, top):
    write_common(raw / "nico" / top, common_lines(prefix=prefix))
    data = run("nico_common", raw, tmp_path / "out")
    assert data.card["classes"] == WORDS
    assert data.card["domains"] == CONTEXTS
    assert data.card["histograms"] == {"train": [[2] * 4] * 6, "test": [[2] * 4] * 6}
    for part in PARTS:
        for context, label, name in rows(data, part):
            folder, kind, _ = name.removeprefix("NICO_DG/").split("/")
            assert (folder, kind.lower()) == (context, label)
    # The first of the list, not of the sorted names.
    assert {name[-6:-4] for _, _, name in rows(data, "train")} == {"02", "01"}
    assert len(data.card["lists"]) == 12


def test_the_real_cap_of_common_contexts(small, tmp_path):
    small["nico_common"]["facts"] |= {part: [1] * 4 for part in PARTS}
    for name, lines in common_lines(train=32, test=33).items():
        write(tmp_path / "NICO_DG_official" / name, lines)
    found = nico.listing("nico_common", tmp_path).rows
    kept = [f"NICO_DG/rock/car/train_{i:02d}.jpg" for i in range(31, 1, -1)]
    assert names(found["train"], 4, WORDS.index("car")) == kept
    assert len(names(found["test"], 4, WORDS.index("car"))) == 33


def test_a_context_may_lack_a_class_and_the_lists_may_not(four, raw, tmp_path):
    lines = common_lines()
    lines["dim_test.txt"] = [line for line in lines["dim_test.txt"] if "/car/" not in line]
    root = write_common(raw / "nico", lines)
    data = run("nico_common", raw, tmp_path / "out")
    assert data.card["empty_classes"] == [["test", "dim", "car"]]
    for name, entries in lines.items():
        write(root / "NICO_DG_official" / name, [line for line in entries if "/car/" not in line])
    with pytest.raises(UserError, match=f"the lists in {root} have 3 classes, not 4: put the off"):
        run("nico_common", raw, tmp_path / "other")


@pytest.mark.parametrize(
    "line",
    [
        "NICO_DG/dim/car/train_00.jpg 7",
        "NICO_DG/autumn/car/train_00.jpg",
        "NICO_DG/autumn/car/train_00.jpg car",
        "NICO_DG/autumn/../train_00.jpg 7",
        "autumn/train_00.jpg 7",
    ],
)
def test_a_wrong_line_of_a_common_list_is_named(four, raw, tmp_path, line):
    lines = common_lines()
    lines["autumn_train.txt"][2:2] = ["", line]
    root = raw / "nico"
    write_common(root, common_lines())
    write(root / "NICO_DG_official" / "autumn_train.txt", lines["autumn_train.txt"])
    with pytest.raises(UserError) as caught:
        run("nico_common", raw, tmp_path / "out")
    assert str(caught.value) == (
        f"{root / 'NICO_DG_official' / 'autumn_train.txt'}, line 4: {line!r} is not "
        "'autumn/<class>/<file> <number>': mend the list"
    )


def test_a_missing_image_or_context_of_nico_is_named(four, raw, tmp_path):
    root = write_common(raw / "nico", common_lines())
    (root / "NICO_DG/grass/car/test_01.jpg").unlink()
    with pytest.raises(UserError, match=r"1 of the 96 .*: NICO_DG/grass/car/test_01\.jpg\. Put"):
        run("nico_common", raw, tmp_path / "out")
    (root / "NICO_DG" / "water").rename(root / "water")
    with pytest.raises(UserError, match=r"\(no NICO_DG/water\)") as caught:
        run("nico_common", raw, tmp_path / "out")
    assert "NICO_DG_official/{autumn,dim,grass,outdoor,rock,water}_{train,test}.txt" in str(
        caught.value
    )


def test_nico_s_images_are_on_one_side(four, raw, tmp_path):
    lines = common_lines()
    lines["rock_test.txt"].append(lines["rock_train.txt"][0])
    root = write_common(raw / "nico", lines)
    with pytest.raises(UserError, match=f"1 images are listed for .*Mend the lists in {root}"):
        run("nico_common", raw, tmp_path / "out")


UNIQUE_CONTEXTS = {
    "airplane": ["taking off", "around cloud", "with pilot", "at night", "double", "aside people"],
    "Hot Air Balloon": ["pink", "black", "on fire", "on ground", "with rainbow", "nearby tower"],
    "car": ["white", "red", "old", "crashed", "at park", "on track", "yellow", "on snow"],
    "bear": ["white", "roaring", "on tree", "lying", "eating", "brown"],
}
PREFIX = "/somewhere/dataset/NICO_unique/"


def unique_lines(train=3, test=2):
    """List's name -> lines."""
    return {
        f"{kind.lower().replace(' ', '-')}_{context.replace(' ', '-')}_{part}.txt": [
            *([f"{PREFIX}{kind}/{context}/.DS_Store {k}"] * 3),
            *(f"{PREFIX}{kind}/{context}/{part}_{i:02d}.jpg {k}" for i in reversed(range(count))),
        ]
        for k, (kind, contexts) in enumerate(UNIQUE_CONTEXTS.items())
        for context in contexts
        for part, count in (("train", train), ("test", test))
    }


def write_unique(root, lines):
    for name, entries in lines.items():
        write(root / "txtlist" / "NICO_unique_official" / name, entries)
        files = [line.rpartition(" ")[0].removeprefix(PREFIX) for line in entries]
        place(root, [f"NICO_unique/{file}" for file in files if file.endswith("jpg")])
    return root


def test_client_i_has_the_ith_context_of_each_class(four, raw, tmp_path):
    root = write_unique(raw / "nico" / "NICOpp", unique_lines())
    (root / "txtlist" / "NICO_unique_official" / ".DS_Store").write_bytes(b"\0\1")
    for name in ("._car_red_test.txt", "car_.DS_Store_train.txt"):
        (root / "txtlist" / "NICO_unique_official" / name).write_bytes(b"\0\1")
    data = run("nico_unique", raw, tmp_path / "out")
    assert data.card["classes"] == WORDS
    assert data.card["domains"] == CLIENTS
    assert data.card["histograms"] == {"train": [[2] * 4] * 6, "test": [[2] * 4] * 6}
    for part in PARTS:
        for client, label, name in rows(data, part):
            top, kind, context, _ = name.split("/")
            assert (top, kind.lower()) == ("NICO_unique", label)
            assert sorted(UNIQUE_CONTEXTS[kind])[CLIENTS.index(client)] == context
    assert {name[-6:-4] for _, _, name in rows(data, "train")} == {"02", "01"}
    # The seventh and eighth context of a class are nobody's.
    assert not [name for name in data.card["train_files"] if "/white/" in name and "/car/" in name]
    assert len(data.card["lists"]) == 4 * 6 * 2
    assert data.card["notes"][2] == ("Client i has the i-th context of each class, sorted by name.")


def test_both_kinds_of_nico_number_their_classes_alike(four, raw):
    write_common(raw / "nico", common_lines())
    root = write_unique(raw / "nico", unique_lines())
    assert nico.listing("nico_common", root).classes == nico.listing("nico_unique", root).classes


def test_the_real_cap_of_unique_contexts(small, tmp_path):
    small["nico_unique"]["facts"] |= {part: [1] * 4 for part in PARTS}
    (tmp_path / "NICO_unique").mkdir()
    for name, lines in unique_lines(train=34, test=35).items():
        write(tmp_path / "txtlist" / "NICO_unique_official" / name, lines)
    found = nico.listing("nico_unique", tmp_path).rows
    kept = [f"NICO_unique/bear/brown/train_{i:02d}.jpg" for i in range(33, 3, -1)]
    assert names(found["train"], 0, WORDS.index("bear")) == kept
    assert [len(found[part]) for part in PARTS] == [6 * 4 * 30, 6 * 4 * 35]


def change(lines, name, entries):
    lines[name] = entries


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (
            lambda lines: [lines.pop(name) for name in list(lines) if name.startswith("bear")],
            "have 3 classes, not 4: put the official ones there",
        ),
        (
            lambda lines: [lines.pop(f"bear_brown_{part}.txt") for part in PARTS],
            r"have 5 contexts of bear \(eating, lying, on-tree, roaring, white\), not 6: put the",
        ),
        (
            lambda lines: lines.pop("bear_brown_test.txt"),
            r"there is no list .*/bear_brown_test\.txt: put it there",
        ),
        (
            lambda lines: change(lines, "bear_brown_valid.txt", []),
            r"bear_brown_valid\.txt is no '<class>_<context>_train\.txt' or .* take it away",
        ),
        (
            lambda lines: change(lines, "bear_on_tree_train.txt", []),
            r"bear_on_tree_train\.txt is no '<class>_<context>_train\.txt' or",
        ),
        (
            lambda lines: lines["bear_brown_train.txt"].insert(4, f"{PREFIX}car/brown/a.jpg 3"),
            r"bear_brown_train\.txt, line 5: .* is not 'bear/<context>/<file> <number>': mend the",
        ),
        (
            lambda lines: lines["bear_brown_train.txt"].insert(4, f"{PREFIX}bear/brown/a.jpg"),
            r"bear_brown_train\.txt, line 5: .* is not 'bear/<context>/<file> <number>': mend the",
        ),
        (
            lambda lines: [change(lines, n, []) for n in lines if n.startswith("bear")],
            "have 3 classes, not 4: put the official ones there",
        ),
    ],
)
def test_wrong_lists_of_unique_contexts_are_named(four, raw, tmp_path, edit, reason):
    root = write_unique(raw / "nico", unique_lines())
    folder = root / "txtlist" / "NICO_unique_official"
    for path in folder.iterdir():
        path.unlink()
    lines = unique_lines()
    edit(lines)
    for name, entries in lines.items():
        write(folder / name, entries)
    with pytest.raises(UserError, match=reason):
        run("nico_unique", raw, tmp_path / "out")


def test_a_list_that_is_no_text_is_refused(four, raw, tmp_path):
    root = write_unique(raw / "nico", unique_lines())
    (root / "txtlist/NICO_unique_official/car_red_test.txt").write_bytes(b"\x80\x04\x95")
    with pytest.raises(UserError, match=r"car_red_test\.txt is no plain text"):
        run("nico_unique", raw, tmp_path / "out")


# --- the entries


def test_the_real_counts_are_the_sheet_s_or_the_most_that_the_caps_allow():
    counts = {name: [sum(TABLE[name]["facts"][part]) for part in PARTS] for name in SETS}
    five = [2646 + 2449 + 2543 + 2700 + 2575, 3380 + 3144 + 5285 + 13264 + 4253]
    assert counts["domainnet_90"] == five
    assert counts["domainnet_90_six"] == [five[0] + 90 * 30, five[1] + 13500]
    assert counts["openimage"] == [6 * 20 * 30, 6 * 20 * 1000]
    assert counts["nico_common"] == [6 * 60 * 30, 6 * 2304]
    assert counts["nico_unique"] == [6 * 60 * 30, 6 * 768]
    assert [len(TABLE[name]["facts"]["train"]) for name in SETS] == [90, 90, 20, 60, 60]
    assert {TABLE[name]["edge"] for name in SETS} == {224}
    assert [TABLE[name]["cap"] for name in SETS] == [
        *([{"train": 30}] * 2),
        {"train": 30, "test": 1000},
        *([{"train": 30}] * 2),
    ]
