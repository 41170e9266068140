"""A folder of images per class, below a folder per domain where there are domains."""

import logging
from pathlib import Path

from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream
from fedgenbench.core.wording import first_of
from fedgenbench.data.readers.listing import (
    PARTS,
    Listing,
    Row,
    Rows,
    is_image,
    require_whole,
)
from fedgenbench.data.sources import source_of

_log = logging.getLogger(__name__)


def listing(dataset: str, root: Path) -> Listing:
    """Every image of ``[<domain>/]<class>/``, split as the folders say or 80/20.

    Folders ``train`` and ``test`` above the domains decide; without them a fifth of each domain and
    class is tested. ``UserError`` names all folders that are not there.
    """
    spec = source_of(dataset)
    split = _split(dataset, root, spec)
    found: dict[tuple[str, int, int], list[str]] = {}
    absent, strange = [], set()
    for top in PARTS if split else ("",):
        for d, domain in enumerate(spec["facts"].get("domains", [""])):
            strange |= _strangers(root / top / domain, spec["classes"])
            for k, name in enumerate(spec["classes"]):
                place = "/".join(filter(None, (top, domain, name)))
                if not (root / place).is_dir():
                    absent.append(str(root / place))
                    continue
                strange |= _strangers(root / place, [])
                files = (path.name for path in (root / place).iterdir() if is_image(path))
                found[top, d, k] = [f"{place}/{file}" for file in sorted(files)]
    if absent:
        raise UserError(
            f"{dataset}: there is no folder {first_of(absent)}. The layout is\n{spec['layout']}\n"
            "A class that a domain lacks is an empty folder"
        )
    _require_all(dataset, root, found)
    notes = [
        "Split: the folders train and test; all images are used."
        if split
        else "Split: a fifth of each domain and class, to the nearest image, from a named random "
        "stream is tested; all images are used."
    ]
    if strange:
        notes.append(f"Folders that are no class were not read: {first_of(sorted(strange))}.")
        _log.warning("%s: %s", dataset, notes[-1])
    return Listing(_rows(dataset, spec, found), spec["classes"], notes, {})


def _split(dataset: str, root: Path, spec: dict) -> bool:
    """Is the set split by folders ``train`` and ``test``, which are no domains or classes?"""
    if set(PARTS) & {*spec["facts"].get("domains", []), *spec["classes"]}:
        return False
    there = [part for part in PARTS if (root / part).is_dir()]
    if len(there) == 1:
        raise UserError(
            f"{dataset}: {root} has a folder {there[0]} and not the other of train and test: add it, "
            "or move its content up for a split of 80/20"
        )
    return bool(there)


def _strangers(folder: Path, names: list[str]) -> set[str]:
    if not folder.is_dir():
        return set()
    inner = (path for path in folder.iterdir() if path.name not in names and path.is_dir())
    return {str(path.relative_to(folder.parent)) for path in inner if path.name[0] != "."}


def _require_all(dataset: str, root: Path, found: dict[tuple[str, int, int], list[str]]) -> None:
    spec = source_of(dataset)
    held: dict[str, int] = {}
    empty: dict[str, list[str]] = {}
    for (_, d, k), files in found.items():
        domain = spec["facts"].get("domains", [""])[d]
        held[domain] = held.get(domain, 0) + len(files)
        if not files:
            empty.setdefault(domain, []).append(spec["classes"][k])
    require_whole(dataset, root, held, empty)


def _rows(dataset: str, spec: dict, found: dict[tuple[str, int, int], list[str]]) -> Rows:
    rows: Rows = {part: [] for part in PARTS}
    domains = spec["facts"].get("domains")
    for (top, d, k), files in found.items():
        if top:
            rows[top] += [Row(d, k, file) for file in files]
            continue
        names = ([domains[d]] if domains else []) + [spec["classes"][k]]
        order = stream(0, "prepare", dataset, "split", *names).permutation(len(files))
        tested = (len(files) + 2) // 5
        for rank, position in enumerate(order):
            rows["test" if rank < tested else "train"].append(Row(d, k, files[position]))
    return rows
