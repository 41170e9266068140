"""Data sets that a person places as folders of images: which file belongs where, and its pixels.

Layouts and protocols: papers/warmfed.md §5. Nothing but image files and plain lists is opened; in
particular no pickle.
"""

import io
import logging
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fedgenbench.data.fetch import missing, placed_root, source_of
from fedgenbench.data.readers import reader_modules
from fedgenbench.data.readers.listing import PARTS, Row, Rows, shown
from fedgenbench.errors import UserError
from fedgenbench.rng import stream

OnBadImage = Literal["refuse", "skip"]

# A prepared set is one file that jobs map into memory: all of DomainNet at 224 pixels has 88 GB.
MOST_BYTES = 32 * 10**9
_log = logging.getLogger(__name__)


class _BadImageError(Exception):
    """The file was read but holds no image; the reason is its text."""


def read(
    dataset: str,
    raw: Path,
    scratch: Path,
    limit: int | None,
    on_bad_image: OnBadImage,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and card fields of a placed data set (see ``dataset.Dataset``).

    ``raw`` is ``data/raw/<dataset>``. Images are RGB squares of the source's ``edge``, uint8
    [N, edge, edge, 3], resized with bilinear interpolation, and ordered by domain, class and name.
    They stream through an unnamed file in the folder ``scratch``, so memory holds one at a time;
    ``limit`` keeps at most so many per class, domain and part. ``UserError`` names what is absent,
    contradictory or too large; a file that is no image is refused, or skipped and named in the card.
    """
    spec = source_of(dataset)
    if reason := missing(dataset, raw.parent):
        raise UserError(reason)
    root = placed_root(dataset, raw.parent)
    listing = import_module(*reader_modules(dataset)).listing(dataset, root)
    rows = {part: _slice(dataset, part, listing.rows[part], limit) for part in PARTS}
    _require_files(dataset, root, [row.name for part in PARTS for row in rows[part]])
    _require_room(dataset, sum(map(len, rows.values())), spec["edge"])

    arrays, bad = {}, {}
    for part in PARTS:
        arrays[f"{part}_images"], rows[part] = _pixels(
            dataset, root, rows[part], spec["edge"], scratch, bad
        )
        arrays[f"{part}_labels"] = np.array([row.label for row in rows[part]], np.int64)
        arrays[f"{part}_domains"] = np.array([row.domain for row in rows[part]], np.int64)
    if bad and on_bad_image == "refuse":
        reasons = [f"{root / name} ({reason})" for name, reason in bad.items()]
        raise UserError(
            f"{dataset}: {len(bad)} file(s) are no images: {shown(reasons)}. Replace them, or set "
            "on_bad_image to skip: they are then left out, and the card names them"
        )
    domains = spec["facts"]["domains"]
    _require_domains(dataset, domains, rows)
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
        "empty_classes": _empty(rows, domains, listing.classes),
        "skipped": {"count": len(bad), "files": bad},
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


def _require_files(dataset: str, root: Path, names: list[str]) -> None:
    if absent := [name for name in names if not (root / name).is_file()]:
        raise UserError(
            f"{dataset}: {len(absent)} of the {len(names)} listed images are not in {root}: "
            f"{shown(absent)}. Put them there; the layout is\n{source_of(dataset)['layout']}"
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


# --- pixels ---------------------------------------------------------------------------------------


def _pixels(
    dataset: str, root: Path, rows: list[Row], edge: int, scratch: Path, bad: dict[str, str]
) -> tuple[np.ndarray, list[Row]]:
    """The images of ``rows`` and the rows that have one; the others are added to ``bad``."""
    kept = []
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        # The file has no name, so a killed job leaves nothing behind.
        with tempfile.TemporaryFile(dir=scratch) as file:
            for number, row in enumerate(rows, 1):
                try:
                    file.write(_square(root / row.name, edge))
                    kept.append(row)
                except _BadImageError as error:
                    bad[row.name] = str(error)
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


def _square(path: Path, edge: int) -> bytes:
    """The image as RGB bytes [edge, edge, 3]."""
    import zlib

    from PIL import Image

    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): mend that") from error
    if not content:
        raise _BadImageError("empty")
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.convert("RGB").resize((edge, edge), Image.Resampling.BILINEAR).tobytes()
    except Image.UnidentifiedImageError:
        raise _BadImageError("no image format that is known") from None
    # What the decoders raise on damaged content.
    except (OSError, SyntaxError, ValueError, EOFError, zlib.error) as error:
        raise _BadImageError(f"damaged: {error}") from None
    except Image.DecompressionBombError:
        raise _BadImageError("too many pixels") from None
