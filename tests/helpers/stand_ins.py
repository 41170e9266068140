"""Makes small stand-ins for the real data sets: the same files and code, other pins."""

import gzip
import hashlib
import io
import struct
import tarfile
import zipfile

import numpy as np

IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def pins(contents):
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def write_tgz(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def write_files(folder, contents):
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def entry(contents, facts=None, sources=()):
    works = [{"work": "toy", "licence": "MIT", "by": "us", "url": "http://example.org"}]
    return {
        "title": "Toy",
        "works": works,
        "facts": facts or {},
        "files": pins(contents),
        "sources": list(sources),
    }


EMNIST = tuple(
    f"emnist-byclass-{part}-{kind}-ubyte"
    for part in ("train", "test")
    for kind in ("images-idx3", "labels-idx1")
)


def idx(array, magic=None):
    """``array`` of bytes as an idx file."""
    head = [0x800 + array.ndim if magic is None else magic, *array.shape]
    return struct.pack(f">{len(head)}I", *head) + array.tobytes()


def emnist_contents(classes=62):
    """EMNIST in small: 3 training and 2 test images per class, in mixed order."""
    generator = np.random.default_rng(0)
    contents = {}
    for part, count in (("train", 3), ("test", 2)):
        labels = generator.permutation(np.arange(62 * count) % classes).astype(np.uint8)
        images = generator.integers(0, 256, (len(labels), 28, 28), np.uint8)
        contents[f"emnist-byclass-{part}-images-idx3-ubyte"] = idx(images)
        contents[f"emnist-byclass-{part}-labels-idx1-ubyte"] = idx(labels)
    return contents


def packed(contents):
    """The authors' .gz files, and their archive of them."""
    files = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in contents.items()}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as pack:
        for name, content in files.items():
            # A ZipInfo has a fixed date, so that equal contents give equal archives.
            pack.writestr(zipfile.ZipInfo(f"gzip/{name}"), content)
        pack.writestr(zipfile.ZipInfo("gzip/emnist-letters-mapping.txt"), "never kept")
    return files, archive.getvalue()


def emnist_entry(contents, address):
    """The real entry with the stand-in's pins and counts; ``address`` is that of the archive."""
    files, archive = packed(contents)
    members = {name: f"gzip/{name}.gz" for name in EMNIST}
    (pin,) = pins({"gzip.zip": archive}).values()
    single = {f"{name}.gz": {name: None} for name in EMNIST}
    return entry({}) | {
        "title": "EMNIST",
        "optional": True,
        "facts": {"even": True, "train": [3] * 62, "test": [2] * 62},
        "files": dict.fromkeys(EMNIST),
        "sources": [
            {"kind": "placed", "archives": {"gzip.zip": members}, "pins": {"gzip.zip": pin}},
            {"kind": "placed", "archives": single, "pins": pins(files)},
            {"kind": "http", "archives": {address: members}, "pins": {address: pin}},
        ],
    }
