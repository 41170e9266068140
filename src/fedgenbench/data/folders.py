"""Data sets that a person places as folders of images: which file belongs where, and its pixels.

Layouts and protocols: papers/warmfed.md §5. Nothing but image files and plain lists is opened; in
particular no pickle.
"""

import hashlib
import logging
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream
from fedgenbench.core.wording import first_of
from fedgenbench.data.pictures import BadImageError, square
from fedgenbench.data.readers import reader_modules
from fedgenbench.data.readers.listing import PARTS, Listing, Row, Rows, require_apart
from fedgenbench.data.sources import missing, placed_root, source_of

OnBadImage = Literal["refuse", "skip"]
OnTwins = Literal["refuse", "drop"]

# A prepared set is one file that jobs map into memory: all of DomainNet at 224 pixels has 88 GB.
MOST_BYTES = 32 * 10**9
_log = logging.getLogger(__name__)


@dataclass
class _Found:
    """What reading the files brought to light, by name of the file."""

    bad: dict[str, str] = field(default_factory=dict)
    # Training image -> the test image that has the same pixels
    twins: dict[str, str] = field(default_factory=dict)
    tested: dict[bytes, str] = field(default_factory=dict)
    changes: Counter[str] = field(default_factory=Counter)


def read(
    dataset: str,
    raw: Path,
    scratch: Path,
    limit: int | None,
    on_bad_image: OnBadImage,
    on_twins: OnTwins,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and card fields of a placed data set (see ``dataset.Dataset``).

    ``raw`` is ``data/raw/<dataset>``. Images are RGB squares of the source's ``edge``, uint8
    [N, edge, edge, 3], resized with bilinear interpolation, and ordered by domain, class and name.
    They stream through an unnamed file in the folder ``scratch``, so memory holds one at a time;
    ``limit`` keeps at most so many per class, domain and part. ``UserError`` names what is absent,
    contradictory or too large; a file that is no image is refused, or skipped and named in the card;
    so is a training image whose pixels are those of a test image.
    """
    spec = source_of(dataset)
    if reason := missing(dataset, raw.parent):
        raise UserError(reason)
    root = placed_root(dataset, raw.parent)
    listing = import_module(*reader_modules(dataset)).listing(dataset, root)
    train, test = ((row.name for row in listing.rows[part]) for part in PARTS)
    require_apart(dataset, train, test, f"Mend the lists in {root}")
    rows = {part: _slice(dataset, part, listing.rows[part], limit) for part in PARTS}
    _require_files(dataset, root, listing, rows)
    _require_room(dataset, sum(map(len, rows.values())), spec["edge"])

    arrays, found = {}, _Found()
    domains = spec["facts"].get("domains")
    for part in reversed(PARTS):  # the test part first: its pixels are what training may not hold
        arrays[f"{part}_images"], rows[part] = _pixels(
            dataset, root, part, rows[part], scratch, found
        )
        arrays[f"{part}_labels"] = np.array([row.label for row in rows[part]], np.int64)
        if domains:
            arrays[f"{part}_domains"] = np.array([row.domain for row in rows[part]], np.int64)
    _refuse(dataset, root, found, on_bad_image, on_twins)
    _require_domains(dataset, domains or [dataset], rows)
    notes = [
        *listing.notes,
        f"RGB, resized to {spec['edge']}x{spec['edge']} whatever the sides were (bilinear).",
    ]
    if limit is not None:
        notes.append(f"A slice: {limit} images per class, domain and part from a named stream.")
    card = {
        "classes": listing.classes,
        "domains": domains,
        "lists": listing.lists,
        "empty_classes": _empty(rows, domains or [dataset], listing.classes),
        "skipped": {"count": len(found.bad), "files": found.bad},
        "twins": {"count": len(found.twins), "left_out": found.twins},
        "converted": dict(sorted(found.changes.items())),
        "notes": notes,
    }
    for part in PARTS:
        card[f"{part}_files"] = [row.name for row in rows[part]]
    return arrays, card


def _slice(dataset: str, part: str, rows: list[Row], limit: int | None) -> list[Row]:
    if limit is None:
        return sorted(rows)
    kept = []
    for (domain, label), group in _groups(rows).items():
        order = stream(0, "prepare", dataset, "slice", part, domain, label).permutation(len(group))
        kept += [group[position] for position in order[:limit]]
    return sorted(kept)


def _groups(rows: Iterable[Row]) -> dict[tuple[int, int], list[Row]]:
    """The rows of each domain and class, sorted."""
    groups = defaultdict(list)
    for row in sorted(rows):
        groups[row.domain, row.label].append(row)
    return groups


def _empty(rows: Rows, domains: list[str], classes: list[str]) -> list[list[str]]:
    """Part, domain and class of every combination without an image."""
    groups = {part: _groups(rows[part]) for part in PARTS}
    return [
        [part, domain, name]
        for part in PARTS
        for d, domain in enumerate(domains)
        for k, name in enumerate(classes)
        if (d, k) not in groups[part]
    ]


# --- what is refused ------------------------------------------------------------------------------


def _require_files(dataset: str, root: Path, listing: Listing, rows: Rows) -> None:
    """``UserError`` counts what is absent by domain and class, and names the first."""
    wanted: Counter[tuple[int, int]] = Counter()
    absent: Counter[tuple[int, int]] = Counter()
    names = []
    for row in (row for part in PARTS for row in rows[part]):
        group = row.domain, row.label
        wanted[group] += 1
        if not (root / row.name).is_file():
            absent[group] += 1
            names.append(row.name)
    if not names:
        return
    spec = source_of(dataset)
    lines = []
    for d, domain in enumerate(spec["facts"].get("domains", [dataset])):
        lacking = [
            f"{name} {absent[d, k]} of {wanted[d, k]}"
            for k, name in enumerate(listing.classes)
            if absent[d, k]
        ]
        if lacking:
            counts = [sum(n for (i, _), n in c.items() if i == d) for c in (absent, wanted)]
            lines.append(f"  {domain} lacks {counts[0]} of {counts[1]}: {first_of(lacking)}")
    raise UserError(
        "\n".join(
            [
                f"{dataset}: {len(names)} of the {sum(wanted.values())} listed images are not in "
                f"{root}: {first_of(names)}. Put them there:",
                *lines,
                f"The layout is\n{spec['layout']}",
            ]
        )
    )


def _require_room(dataset: str, count: int, edge: int) -> None:
    if (size := count * edge * edge * 3) > MOST_BYTES:
        raise UserError(
            f"{dataset}: {count} images of {edge}x{edge} pixels make {size / 1e9:.0f} GB, more than "
            f"the {MOST_BYTES / 1e9:.0f} GB that a prepared set may have: lower its edge in "
            "src/fedgenbench/data/sources.yaml, or set its limit_per_class"
        )


def _require_domains(dataset: str, domains: list[str], rows: Rows) -> None:
    for part in PARTS:
        held = {row.domain for row in rows[part]}
        for number, domain in enumerate(domains):
            if number not in held:
                raise UserError(
                    f"{dataset}: {domain} has no {part} image. The layout is\n"
                    f"{source_of(dataset)['layout']}"
                )


def _refuse(
    dataset: str, root: Path, found: _Found, on_bad_image: OnBadImage, on_twins: OnTwins
) -> None:
    if found.bad and on_bad_image == "refuse":
        reasons = [f"{root / name} ({reason})" for name, reason in sorted(found.bad.items())]
        raise UserError(
            f"{dataset}: {len(found.bad)} file(s) are no images: {first_of(reasons)}. Replace them, or "
            f"set datasets.{dataset}.on_bad_image to skip in params.yaml: they are then left out, and "
            "the card names them"
        )
    if found.twins and on_twins == "refuse":
        pairs = [f"{one} = {other}" for one, other in sorted(found.twins.items())]
        raise UserError(
            f"{dataset}: {len(found.twins)} training images have the pixels of a test image: "
            f"{first_of(pairs)} (in {root}). Take one of each two away, or set "
            f"datasets.{dataset}.on_twins to drop in params.yaml: the training ones are then left "
            "out, and the card names them"
        )


# --- pixels ---------------------------------------------------------------------------------------


def _pixels(
    dataset: str, root: Path, part: str, rows: list[Row], scratch: Path, found: _Found
) -> tuple[np.ndarray, list[Row]]:
    """The images of ``rows`` and the rows that have one; ``found`` takes up the rest."""
    kept, edge = [], source_of(dataset)["edge"]
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        # The file has no name, so a killed job leaves nothing behind.
        with tempfile.TemporaryFile(dir=scratch) as file:
            for number, row in enumerate(rows, 1):
                if (pixels := _looked_at(root, part, row.name, edge, found)) is not None:
                    file.write(pixels)
                    kept.append(row)
                if number % 5000 == 0:
                    _log.info("%s: %d of %d images read", dataset, number, len(rows))
            file.flush()
            shape = (len(kept), edge, edge, 3)
            # No map can be empty.
            images = np.memmap(file, np.uint8, "r", shape=shape) if kept else np.empty(shape, "u1")
    except OSError as error:
        raise UserError(
            f"{dataset}: could not write pixels to {scratch} ({error.strerror}). A prepared set "
            "takes twice its size while it is made: free some space, run the same command again"
        ) from error
    return images, kept


def _looked_at(root: Path, part: str, name: str, edge: int, found: _Found) -> bytes | None:
    """The pixels of one file; None, and why in ``found``, where it cannot be used."""
    try:
        pixels, changes = square(root / name, edge)
    except BadImageError as error:
        found.bad[name] = str(error)
        return None
    digest = hashlib.sha256(pixels).digest()
    if part == "test":
        found.tested.setdefault(digest, name)
    elif twin := found.tested.get(digest):
        found.twins[name] = twin
        return None
    found.changes.update(changes)
    return pixels
