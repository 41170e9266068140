"""NICO++: lists of images per context. A context is common to all classes or unique to one.

Layout and protocol: papers/fedlmg.md §5. Folders and lists write a class's name alike but for
hyphens and capitals; the label is its place among the sorted names, whatever number a list gives.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from fedgenbench.core.errors import UserError
from fedgenbench.data.readers.listed import (
    Found,
    cap_notes,
    capped,
    rows_of,
    text_lines,
)
from fedgenbench.data.readers.listing import PARTS, Listing, require_apart
from fedgenbench.data.sources import entry_of, source_of

_COMMON_LISTS, _COMMON_IMAGES = "NICO_DG_official", "NICO_DG"
_UNIQUE_LISTS, _UNIQUE_IMAGES = "txtlist/NICO_unique_official", "NICO_unique"
# A desktop's file, which the lists took for a context or an image
_NO_IMAGE = ".DS_Store"


class _List(NamedTuple):
    """A list of one domain and part; ``owner`` is the common context, or the class, that it is of."""

    path: Path
    domain: int
    part: str
    owner: str


def listing(dataset: str, root: Path) -> Listing:
    """Domain i is the i-th common context or, with ``contexts: unique``, the i-th of each class.

    A line is a path, whose last three parts are context, class and file (common) or class, context
    and file (unique), and a number; what stands before is foreign.
    """
    spec = source_of(dataset)
    unique = spec["contexts"] == "unique"
    found: Found = {part: {} for part in PARTS}
    lists = {}
    for each in _unique_lists(dataset, root) if unique else _common_lists(dataset, root):
        content = each.path.read_bytes()
        lists[each.path.name] = hashlib.sha256(content).hexdigest()
        for outer, inner, file in _images(each, content, "context" if unique else "class"):
            label = _words(outer if unique else inner)
            images = _UNIQUE_IMAGES if unique else _COMMON_IMAGES
            found[each.part][each.domain, label, f"{images}/{outer}/{inner}/{file}"] = None
    train, test = ((name for _, _, name in found[part]) for part in PARTS)
    require_apart(dataset, train, test, f"Mend the lists in {root}")
    classes = sorted({label for part in PARTS for _, label, _ in found[part]})
    if len(classes) != (wanted := len(spec["facts"]["train"])):
        raise UserError(
            f"{dataset}: the lists in {root} have {len(classes)} classes, not {wanted}: put the "
            "official ones there"
        )
    notes = ["The split of the lists.", *cap_notes(spec["cap"])]
    if unique:
        notes.append("Client i has the i-th context of each class, sorted by name.")
    return Listing(capped(rows_of(found, classes), spec["cap"]), classes, notes, lists)


def _words(name: str) -> str:
    return name.replace("-", " ").lower()


def _common_lists(dataset: str, root: Path) -> Iterable[_List]:
    for number, context in enumerate(source_of(dataset)["facts"]["domains"]):
        for part in PARTS:
            path = entry_of(root, f"{_COMMON_LISTS}/{context}_{part}.txt")
            yield _List(path, number, part, context)


def _unique_lists(dataset: str, root: Path) -> Iterable[_List]:
    folder = entry_of(root, _UNIQUE_LISTS)
    domains = source_of(dataset)["facts"]["domains"]
    contexts: dict[str, set[str]] = defaultdict(set)
    for path in folder.glob("[!.]*.txt"):
        if _NO_IMAGE in path.name:
            continue
        category, context, part = (*path.stem.split("_"), "", "")[:3]
        if path.name != f"{category}_{context}_{part}.txt" or part not in PARTS:
            raise UserError(
                f"{path} is no '<class>_<context>_train.txt' or '<class>_<context>_test.txt': "
                "rename it or take it away"
            )
        contexts[category].add(context)
    for category, names in sorted(contexts.items()):
        if len(names) < len(domains):
            raise UserError(
                f"{dataset}: the lists in {folder} have {len(names)} contexts of {category} "
                f"({', '.join(sorted(names))}), not {len(domains)}: put the others there"
            )
        for number, context in enumerate(sorted(names)[: len(domains)]):
            for part in PARTS:
                path = folder / f"{category}_{context}_{part}.txt"
                if not path.is_file():
                    raise UserError(f"{dataset}: there is no list {path}: put it there")
                yield _List(path, number, part, category)


def _images(each: _List, content: bytes, inner: str) -> Iterable[tuple[str, ...]]:
    """The outer folder, the inner folder (a context or a class) and the file of each line."""
    for number, line in text_lines(each.path, content):
        if _NO_IMAGE in line:
            continue
        written, _, label = line.rpartition(" ")
        parts = PurePosixPath(written).parts[-3:]
        if (
            len(parts) < 3
            or _words(parts[0]) != _words(each.owner)
            or ".." in parts
            or not label.isdecimal()
        ):
            raise UserError(
                f"{each.path}, line {number}: {line!r} is not '{_words(each.owner)}/<{inner}>/"
                "<file> <number>': mend the list"
            )
        yield parts
