"""Open Images as FedLMG's clients hold it: a table of the labels of each part's images.

Layout, classes and caps: papers/fedlmg.md §5. FedLMG's released reader takes a label that people
found wrong (Confidence 0) for a right one, and lets one image more through each cap; this one does
neither (§8).
"""

import csv
from collections import Counter, defaultdict
from pathlib import Path

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import sha256_file
from fedgenbench.data.readers.listed import cap_notes
from fedgenbench.data.readers.listing import PARTS, Listing, Row, Rows, require_apart
from fedgenbench.data.sources import source_of

_COLUMNS = ("ImageID", "LabelName", "Confidence")


def listing(dataset: str, root: Path) -> Listing:
    """Domain i holds the i-th fine class of each coarse class, and the label is the coarse one.

    An image with several of the fine classes stands under each. No image needs to be there.
    """
    spec = source_of(dataset)
    rows: Rows = {}
    lists: dict[str, str] = {}
    several = {}
    for part in PARTS:
        names, table = f"{part}/metadata/classes.csv", f"{part}/labels/classifications.csv"
        places = _places(dataset, root / names, spec["fine"])
        rows[part] = _labelled(root / table, part, places, spec["cap"][part])
        lists |= {name: sha256_file(root / name) for name in (names, table)}
        several[part] = sum(n > 1 for n in Counter(row.name for row in rows[part]).values())
    train, test = ((Path(row.name).name for row in rows[part]) for part in PARTS)
    require_apart(dataset, train, test, f"Put Open Images' tables into {root}")
    notes = [
        "The official parts; labels with a Confidence of 1 alone.",
        *cap_notes(spec["cap"]),
        f"{several['train']} training and {several['test']} test images have several of the fine "
        "classes and stand under each.",
    ]
    return Listing(rows, spec["classes"], notes, lists)


def _places(dataset: str, path: Path, fine: list[list[str]]) -> dict[str, list[tuple[int, int]]]:
    """The (domain, label) of each identifier in the part's ``classes.csv``.

    ``fine`` has a row per coarse class. Knife is a kitchen utensil to one client, a weapon to
    another.
    """
    wanted: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for label, names in enumerate(fine):
        for domain, name in enumerate(names):
            wanted[name].append((domain, label))
    found = {}
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        # A header of id and label names no class.
        for line in csv.reader(file, skipinitialspace=True):
            if len(line) >= 2 and line[1] in wanted:
                found[line[0]] = line[1]
    if absent := [name for name in wanted if name not in found.values()]:
        raise UserError(
            f"{dataset}: {path} names no class {', '.join(absent)}: put a table there whose columns "
            "are id and label"
        )
    return {identifier: wanted[name] for identifier, name in found.items()}


def _labelled(
    path: Path, part: str, places: dict[str, list[tuple[int, int]]], cap: int
) -> list[Row]:
    """The first ``cap`` images of each domain and label, in the order of the table."""
    kept: dict[Row, None] = {}
    taken: Counter[tuple[int, int]] = Counter()
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        table = csv.reader(file, skipinitialspace=True)
        header = next(table, [])
        if absent := [name for name in _COLUMNS if name not in header]:
            raise UserError(
                f"{path} has no column {', '.join(absent)}: put Open Images' file there"
            )
        columns = [header.index(name) for name in _COLUMNS]
        for line in table:
            try:
                image, identifier, confidence = (line[column] for column in columns)
                certain = float(confidence) == 1
                if not image or "/" in image:
                    raise ValueError(f"{image!r} is no image's name")
            except (IndexError, ValueError) as error:
                raise UserError(
                    f"{path}, line {table.line_num}: {error}: put Open Images' file there"
                ) from None
            for place in places.get(identifier, ()) if certain else ():
                row = Row(*place, f"{part}/data/{image}.jpg")
                if taken[place] < cap and row not in kept:
                    taken[place] += 1
                    kept[row] = None
    return list(kept)
