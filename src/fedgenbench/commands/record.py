"""Records what the settings of params.yaml ask for, file by file, so that it can be restored elsewhere.

``python -m fedgenbench.commands.record PHASE`` writes ``results/<scale>/<phase>.json``, the checksums of
all that a phase of dvc.yaml made. Without a phase, the measurements of all jobs go into
``results/<scale>/records``, which Git can hold and ``make report`` shows, and all these files into DVC's
store, as the folder ``recorded/<scale>``. DVC holds that folder of links and nothing else: results
themselves are in none of its hands, since several of its commands reset what they hold, and delete what
lies beside it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, sha256_file, write_json
from fedgenbench.core.products import MEASURED
from fedgenbench.plan import settings as config
from fedgenbench.plan.grid import PRODUCTS, Grid
from fedgenbench.plan.selection import select
from fedgenbench.systems.collected import read
from fedgenbench.systems.records import place_of, write_records

PHASES = ("data", "runs", "report")


def list_phase(phase: str) -> Path:
    """Writes the checksums of what a phase made; equal bytes mean that it was reproduced exactly.

    Raises:
        UserError: names the first file or folder that is missing.
    """
    scale, settings = config.load()
    grid = Grid(select(settings[scale])[0], settings["paper"])
    places = _products(scale, grid) if phase == "report" else _places(grid, phase)
    files = {
        str(file): None if _measured(file) else sha256_file(file)
        for place in places
        for file in _files(Path(place))
    }
    target = listing_path(scale, phase)
    write_json(target, files)
    return target


def listing_path(scale: str, phase: str) -> Path:
    return Path("results", scale, f"{phase}.json")


def listed(scale: str) -> dict[str, str | None]:
    """Checksum by path of all that was made at a scale; None where it tells nothing.

    Raises:
        UserError: a phase has no listing.
    """
    files: dict[str, str | None] = {}
    for phase in PHASES:
        path = listing_path(scale, phase)
        if not path.exists():
            raise UserError(f"{path} is missing: `dvc repro` makes the results and lists them")
        files |= read_json(path)
    return files


def same(path: Path, checksum: str | None) -> bool:
    """Is the file there, with this content?"""
    return path.is_file() and (checksum is None or sha256_file(path) == checksum)


def record() -> Path:
    """Puts what the phases listed into DVC's store, and returns the file that names it for Git.

    Raises:
        UserError: a file is not as its phase listed it.
    """
    scale, settings = config.load()
    files = listed(scale)
    if others := [path for path, checksum in files.items() if not same(Path(path), checksum)]:
        raise UserError(
            f"not as results/{scale} lists it:\n{in_short(others)}`dvc repro` makes what is missing and "
            "lists what is there; then record again"
        )
    _write_records(scale, Grid(select(settings[scale])[0], settings["paper"]))
    folder = Path("recorded", scale)
    for old in folder.rglob("*"):
        if old.is_file() and str(old.relative_to(folder)) not in files:
            old.unlink()
    for path in files:
        place(Path(path), folder / path)
    # Without relinking: the folder stays one of links to results, and the store has copies.
    command = [sys.executable, "-m", "dvc", "add", "--quiet", "--no-relink", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"`dvc add {folder}` failed:\n{(done.stderr or done.stdout).strip()}")
    return folder.with_suffix(".dvc")


def _write_records(scale: str, grid: Grid) -> None:
    """What was collected of the grid, as records that travel."""
    folder = Path("results", scale, f"collected-{grid.product_digest('collect')}")
    if not (folder / "context.json").is_file():
        raise UserError(
            f"{folder} is missing: `dvc repro` collects what was run; then record again"
        )
    cards = {name: read_json(path) for name, path in grid.cards.items()}
    write_records(place_of(scale), *read(folder), cards, grid.differences)


def place(source: Path, target: Path) -> None:
    """Makes ``target`` the file ``source``, by a link where nothing else could write through it.

    A file with further links may be one of DVC's cache, which a write through a link would spoil.
    """
    if target.exists() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        if source.is_symlink() or source.stat().st_nlink > 1:
            shutil.copyfile(source, temporary / "file")
        else:
            try:
                os.link(source, temporary / "file")
            except OSError:  # another file system, or one without links
                shutil.copyfile(source, temporary / "file")
        os.replace(temporary / "file", target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def in_short(lines: list[str], most: int = 8) -> str:
    """The first few lines, indented, and how many more there are."""
    more = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return "".join(f"  {line}\n" for line in (*lines[:most], *more))


def _places(grid: Grid, phase: str) -> list[str]:
    """Folders, and single files, of what a phase makes."""
    if phase == "data":
        prepared = [part.folder for part in grid.used_data.values()]
        return [*prepared, *(part.path for part in grid.partitions.values())]
    return list(grid.jobs)


def _products(scale: str, grid: Grid) -> list[Path]:
    """Files of the tables, the figures and the report, and what DVC compares, by their manifests."""
    places = []
    for product in PRODUCTS.keys() - {"collect"}:
        folder = Path("results", scale, product)
        manifest = folder / f"{product}-{grid.product_digest(product)}.json"
        content = read_json(manifest)
        places += [manifest, *(folder / name for name in content["files"])]
        places += [folder.parent / name for name in content["beside"]]
    return places


def _measured(file: Path) -> bool:
    """Times, memory and hardware: other on every machine, so that only its presence is recorded."""
    return file.name.endswith("run.json") or file.name.startswith(MEASURED)


def _files(place: Path) -> list[Path]:
    found = [place] if place.is_file() else place.rglob("*")
    # A killed writer leaves a temporary file, whose name begins with a point.
    files = sorted(file for file in found if file.is_file() and not file.name.startswith("."))
    if not files:
        raise UserError(f"{place} is missing: run `make reproduce`, which makes it")
    return files


def main(arguments: list[str]) -> None:
    if not arguments:
        pointer = record()
        scale, _ = config.load()
        print(
            f"Recorded. For others: `git add {pointer.parent} {place_of(scale)}` and commit, then "
            "`dvc push`."
        )
    elif arguments[0] in PHASES and len(arguments) == 1:
        list_phase(arguments[0])
    else:
        raise UserError(f"{' '.join(arguments)!r} is no phase; they are {' and '.join(PHASES)}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
