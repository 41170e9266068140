"""Makes small stand-ins for the real data sets: the same files and code, other pins."""

import hashlib
import io
import tarfile

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
