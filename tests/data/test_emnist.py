"""The optional data set: found, fetched or placed by hand in any of its usual layouts."""

import http.server
import threading

import numpy as np
import pytest
from stand_ins import EMNIST, emnist_contents, emnist_entry, idx, packed, pins, write_files

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json
from fedgenbench.data.dataset import load
from fedgenbench.data.fetch import fetch
from fedgenbench.data.prepare import prepare
from fedgenbench.data.sources import missing, source_table

CONTENTS = emnist_contents()
GZ, ZIP = packed(CONTENTS)
LAYOUTS = {"unpacked": CONTENTS, "gz": GZ, "zip": {"gzip.zip": ZIP}}
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = EMNIST
by_layout = pytest.mark.parametrize("layout", LAYOUTS)


@pytest.fixture
def raw(tmp_path, set_table):
    """data/raw/emnist, empty; the archive's host is a folder that holds nothing."""
    (tmp_path / "shelf").mkdir()
    address = (tmp_path / "shelf" / "gzip.zip").as_uri()
    set_table({"emnist": emnist_entry(CONTENTS, address)})
    return tmp_path / "raw" / "emnist"


def array(name, contents=CONTENTS):
    head = 16 if "images" in name else 8
    values = np.frombuffer(contents[name][head:], np.uint8)
    return values.reshape(-1, 28, 28) if "images" in name else values


@by_layout
def test_every_layout_gives_the_same_files_and_arrays(raw, tmp_path, layout):
    fetch("emnist", write_files(raw, LAYOUTS[layout]))
    assert {name: (raw / name).read_bytes() for name in EMNIST} == CONTENTS
    source = read_json(raw / "SOURCE.json")
    assert source["files"] == pins(CONTENTS)
    if layout == "unpacked":
        assert source["source"] == {"kind": "found in place"}
    else:
        assert source["source"] == {"kind": "placed", "archives": pins(LAYOUTS[layout])}
    assert all((raw / name).read_bytes() == old for name, old in LAYOUTS[layout].items())

    prepare("emnist", raw, tmp_path / "out")
    data = load(tmp_path / "out")
    assert data.train_images.shape == (186, 28, 28, 1)
    # As published: neither turned nor mirrored.
    assert np.array_equal(data.train_images[..., 0], array(TRAIN_IMAGES))
    assert np.array_equal(data.test_labels, array(TEST_LABELS))
    assert data.card["histograms"] == {"train": [[3] * 62], "test": [[2] * 62]}
    assert any("transposed" in note for note in data.card["notes"])


def test_classes_are_digits_upper_and_lower_case(raw, tmp_path):
    fetch("emnist", write_files(raw, CONTENTS))
    prepare("emnist", raw, tmp_path / "out", limit_per_class=1)
    data = load(tmp_path / "out")
    assert "".join(data.card["classes"]) == (
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    )
    assert data.card["histograms"] == {"train": [[1] * 62], "test": [[1] * 62]}


def test_the_archive_is_downloaded(raw, tmp_path):
    write_files(tmp_path / "shelf", {"gzip.zip": ZIP})
    fetch("emnist", raw)
    assert {name: (raw / name).read_bytes() for name in EMNIST} == CONTENTS
    source = read_json(raw / "SOURCE.json")["source"]
    assert source == {"kind": "http", "archives": pins({"gzip.zip": ZIP})}
    assert sorted(path.name for path in raw.iterdir()) == sorted([*EMNIST, "SOURCE.json"])


def test_the_download_does_not_call_itself_python(tmp_path, set_table):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            refused = self.headers["User-Agent"].startswith("Python-urllib")
            self.send_response(403 if refused else 200)
            self.end_headers()
            self.wfile.write(ZIP)

        def log_message(self, *values):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/gzip.zip"
        set_table({"emnist": emnist_entry(CONTENTS, address)})
        try:
            fetch("emnist", tmp_path / "emnist")
        finally:
            server.shutdown()
            thread.join()
    assert (tmp_path / "emnist" / TEST_LABELS).read_bytes() == CONTENTS[TEST_LABELS]


TRAIN = array(TRAIN_IMAGES)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (TRAIN_IMAGES, CONTENTS[TRAIN_IMAGES][:-1], "it has 145839 bytes, not 145840"),
        (TRAIN_IMAGES, CONTENTS[TRAIN_IMAGES][:9], "it has 9 bytes, not 145840"),
        (TRAIN_LABELS, CONTENTS[TRAIN_LABELS] + b"0", "it has 195 bytes, not 194"),
        (TEST_IMAGES, idx(array(TEST_IMAGES), 0x803 + 0x100), "begins with 00000903, not 00000803"),
        (TEST_LABELS, CONTENTS[TEST_IMAGES], "begins with 00000803, not 00000801"),
        (TEST_LABELS, b"", "begins with nothing, not 00000801"),
        (TRAIN_IMAGES, CONTENTS[TEST_IMAGES], "it announces 124x28x28, not 186x28x28 bytes"),
        (TRAIN_IMAGES, idx(TRAIN[:, :, 1:]), "it announces 186x28x27, not 186x28x28 bytes"),
        (TRAIN_LABELS, None, "missing"),
    ],
)
def test_a_wrong_unpacked_file_is_named(raw, tmp_path, name, content, reason):
    write_files(raw, CONTENTS | {name: content or b""})
    if content is None:
        (raw / name).unlink()
    with pytest.raises(UserError) as caught:
        fetch("emnist", raw)
    message = str(caught.value)
    assert f"{name}  (" in message
    assert reason in message
    assert f"{raw} holds no gzip.zip" in message
    assert f"put these files into {raw} by hand (docs/data.md says how)" in message
    assert not (raw / "SOURCE.json").exists()
    with pytest.raises(UserError, match=rf"{raw / name} \(.*Delete {raw / 'SOURCE.json'}"):
        prepare("emnist", raw, tmp_path / "out")
    # A good archive mends it.
    fetch("emnist", write_files(raw, {"gzip.zip": ZIP}))
    assert (raw / name).read_bytes() == CONTENTS[name]


@pytest.mark.parametrize(
    ("layout", "name"),
    [("zip", "gzip.zip"), ("gz", f"{TRAIN_IMAGES}.gz"), ("gz", f"{EMNIST[3]}.gz")],
)
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_wrong_packed_file_is_named(raw, layout, name, damage):
    content = bytearray(LAYOUTS[layout][name])
    if damage == "cut":
        del content[-100:]
    else:
        content[len(content) // 2] ^= 1
    write_files(raw, LAYOUTS[layout] | {name: bytes(content)})
    with pytest.raises(UserError, match=f"{name} is truncated or altered: its sha256 is not"):
        fetch("emnist", raw)
    assert sorted(path.name for path in raw.iterdir()) == sorted(LAYOUTS[layout])


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (packed({TRAIN_IMAGES: b""})[1], "gzip.zip holds no file gzip/emnist-byclass-"),
        (b"no archive", "File is not a zip file"),
    ],
)
def test_an_archive_without_the_files_is_refused(raw, set_table, archive, reason):
    table = {"emnist": emnist_entry(CONTENTS, "file:///nowhere/gzip.zip")}
    table["emnist"]["sources"][0]["pins"] = pins({"gzip.zip": archive})
    set_table(table)
    with pytest.raises(UserError, match=reason):
        fetch("emnist", write_files(raw, {"gzip.zip": archive}))


def test_a_file_that_changes_later_is_refused(raw, tmp_path):
    fetch("emnist", write_files(raw, CONTENTS))
    content = bytearray(CONTENTS[TEST_IMAGES])
    content[500] ^= 1
    write_files(raw, {TEST_IMAGES: bytes(content)})
    with pytest.raises(UserError, match=rf"{TEST_IMAGES} \(altered since SOURCE.json was written"):
        prepare("emnist", raw, tmp_path / "out")
    (raw / "SOURCE.json").unlink()
    fetch("emnist", raw)
    prepare("emnist", raw, tmp_path / "out")


@pytest.mark.parametrize("classes", [47, 63])
def test_the_labels_of_another_split_are_refused(raw, tmp_path, classes):
    # The split by merged class has as many images.
    fetch("emnist", write_files(raw, emnist_contents(classes)))
    with pytest.raises(UserError, match=rf"train labels in {raw} are not the 62 numbers from 0 on"):
        prepare("emnist", raw, tmp_path / "out")


def test_missing_says_what_to_do(raw):
    sentence = missing("emnist", raw.parent)
    assert sentence == (
        f"EMNIST is not in {raw}: `snakemake {raw}/SOURCE.json` fetches it, or put gzip.zip there "
        "by hand (docs/data.md)"
    )
    write_files(raw, dict(list(GZ.items())[:3]) | dict(list(CONTENTS.items())[:3]))
    assert missing("emnist", raw.parent) == sentence


@by_layout
def test_missing_looks_at_names_alone(raw, layout):
    write_files(raw, dict.fromkeys(LAYOUTS[layout], b""))
    assert missing("emnist", raw.parent) is None


def test_what_packages_carry_is_not_optional(tmp_path):
    assert not source_table()["mnist"].get("optional")
    assert missing("mnist", tmp_path) is None
    assert "data/raw/emnist" in missing("emnist", tmp_path / "data/raw")
    with pytest.raises(UserError, match="femnist"):
        missing("femnist")


def test_the_real_entry():
    spec = source_table()["emnist"]
    assert tuple(spec["files"]) == EMNIST
    assert set(spec["files"].values()) == {None}
    for part, total in (("train", 697_932), ("test", 116_323)):
        assert (len(spec["facts"][part]), sum(spec["facts"][part])) == (62, total)
    example = emnist_entry(CONTENTS, "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip")
    for source, like in zip(spec["sources"], example["sources"], strict=True):
        assert (source["kind"], source["archives"]) == (like["kind"], like["archives"])
        assert set(source["pins"]) == set(like["pins"])
