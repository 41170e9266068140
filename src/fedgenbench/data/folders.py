"""Data sets that a person places as folders of images: which file belongs where, and its pixels.

Layouts and protocols: papers/warmfed.md §5. Nothing but image files and plain lists is opened; in
particular no pickle.
"""

import csv
import hashlib
import io
import logging
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import numpy as np

from fedgenbench.data.fetch import find_entry, missing, placed_root, source_of
from fedgenbench.errors import UserError
from fedgenbench.rng import stream

OnBadImage = Literal["refuse", "skip"]

# A prepared set is one file that jobs map into memory: all of DomainNet at 224 pixels has 88 GB.
MOST_BYTES = 32 * 10**9
SUFFIXES = {".jpg", ".jpeg", ".png"}
PARTS = ("train", "test")
_SHOWN = 5
_COLUMNS = ("patient", "node", "x_coord", "y_coord", "tumor", "center")
_log = logging.getLogger(__name__)


class _Row(NamedTuple):
    """One image; rows sort by domain, class and name. ``name`` is its path below the set's root."""

    domain: int
    label: int
    name: str


_Rows = dict[str, list[_Row]]


class _Listing(NamedTuple):
    rows: _Rows
    classes: list[str]
    notes: list[str]
    # sha256 of the lists that decided, by file name
    lists: dict[str, str]


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
    listing = _READERS[spec["reader"]](dataset, root)
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
            f"{dataset}: {len(bad)} file(s) are no images: {_shown(reasons)}. Replace them, or set "
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


def _slice(dataset: str, part: str, rows: list[_Row], limit: int | None) -> list[_Row]:
    if limit is None:
        return sorted(rows)
    kept = []
    for (domain, label), group in _groups(rows).items():
        order = stream(0, "prepare", dataset, "slice", part, domain, label).permutation(len(group))
        kept += [group[position] for position in order[:limit]]
    return sorted(kept)


def _groups(rows: Iterable[_Row]) -> dict[tuple[int, int], list[_Row]]:
    """The rows of each domain and class, sorted."""
    groups = defaultdict(list)
    for row in sorted(rows):
        groups[row.domain, row.label].append(row)
    return groups


def _empty(rows: _Rows, domains: list[str], classes: list[str]) -> list[list[str]]:
    """Part, domain and class of every combination without an image."""
    groups = {part: _groups(rows[part]) for part in PARTS}
    return [
        [part, domain, name]
        for part in PARTS
        for d, domain in enumerate(domains)
        for k, name in enumerate(classes)
        if (d, k) not in groups[part]
    ]


def _shown(items: list[str]) -> str:
    rest = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + rest


# --- what is refused ------------------------------------------------------------------------------


def _require_files(dataset: str, root: Path, names: list[str]) -> None:
    if absent := [name for name in names if not (root / name).is_file()]:
        raise UserError(
            f"{dataset}: {len(absent)} of the {len(names)} listed images are not in {root}: "
            f"{_shown(absent)}. Put them there; the layout is\n{source_of(dataset)['layout']}"
        )


def _require_room(dataset: str, count: int, edge: int) -> None:
    if (size := count * edge * edge * 3) > MOST_BYTES:
        raise UserError(
            f"{dataset}: {count} images of {edge}x{edge} pixels make {size / 1e9:.0f} GB, more than "
            f"the {MOST_BYTES / 1e9:.0f} GB that a prepared set may have: lower its edge in "
            "src/fedgenbench/data/sources.yaml, or set its limit_per_class"
        )


def _require_domains(dataset: str, domains: list[str], rows: _Rows) -> None:
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
    dataset: str, root: Path, rows: list[_Row], edge: int, scratch: Path, bad: dict[str, str]
) -> tuple[np.ndarray, list[_Row]]:
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


# --- lists and folders ----------------------------------------------------------------------------


def _listed(dataset: str, root: Path) -> _Listing:
    """The split of ``{domain}_train.txt`` and ``{domain}_test.txt`` (DomainNet's official form).

    A line is a path, whose last three parts are domain, class and file, and the class's number or
    name. Classes are the source's, or all in the order of their numbers.
    """
    spec, labels, lists = source_of(dataset), {}, {}
    found: dict[str, dict[tuple[int, str, str], None]] = {part: {} for part in PARTS}
    for number, domain in enumerate(spec["facts"]["domains"]):
        for part in PARTS:
            path = find_entry(root, f"{domain}_{part}.txt")
            content = path.read_bytes()
            lists[path.name] = hashlib.sha256(content).hexdigest()
            for category, name in _lines(path, content, domain, labels):
                found[part][number, category, name] = None
    if both := sorted(set(found["train"]) & set(found["test"])):
        raise UserError(
            f"{dataset}: {len(both)} images are listed for training and for testing: "
            f"{_shown([name for _, _, name in both])}. Mend the lists in {root}"
        )
    classes = spec["classes"] or _all_classes(dataset, root, labels)
    if unknown := [name for name in classes if name not in labels]:
        raise UserError(f"{dataset}: the lists in {root} name no image of {', '.join(unknown)}")
    position = {name: label for label, name in enumerate(classes)}
    rows = {
        part: [_Row(d, position[c], name) for d, c, name in found[part] if c in position]
        for part in PARTS
    }
    return _Listing(rows, classes, ["The split of the lists."], lists)


def _lines(
    path: Path, content: bytes, domain: str, labels: dict[str, str]
) -> Iterable[tuple[str, str]]:
    """Class and name of each line; ``labels`` gathers what each class is called in all lists."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no plain text ({error}): put the right list there") from None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        written, _, label = line.strip().rpartition(" ")
        parts = PurePosixPath(written).parts[-3:]
        if len(parts) < 3 or parts[0] != domain or ".." in parts:
            raise UserError(
                f"{path}, line {number}: {line.strip()!r} is not '{domain}/<class>/<file> <label>'"
            )
        category = parts[1]
        known = labels.setdefault(category, label)
        if label != known or not (label.isdecimal() or label == category):
            raise UserError(
                f"{path}, line {number}: an image in the folder {category} has the label {label}, "
                f"not {known if label != known else category}: mend the list"
            )
        yield category, "/".join(parts)


def _all_classes(dataset: str, root: Path, labels: dict[str, str]) -> list[str]:
    numbers = {int(label): name for name, label in labels.items() if label.isdecimal()}
    wanted = len(source_of(dataset)["facts"]["train"])
    if sorted(numbers) != list(range(wanted)) or len(labels) != wanted:
        raise UserError(
            f"{dataset}: the lists in {root} have {len(labels)} classes under {len(numbers)} "
            f"numbers, not {wanted} under 0 to {wanted - 1}: put the official ones there"
        )
    return [numbers[number] for number in range(wanted)]


def _office(dataset: str, root: Path) -> _Listing:
    """Lists where all of them are there, else every image of the folders, split 80/20."""
    spec = source_of(dataset)
    domains, classes = spec["facts"]["domains"], spec["classes"]
    names = [f"{domain}_{part}.txt" for domain in domains for part in PARTS]
    absent = [name for name in names if find_entry(root, name) is None]
    if not absent:
        return _listed(dataset, root)
    if len(absent) < len(names):
        raise UserError(
            f"{dataset}: of the lists in {root}, {', '.join(absent)} are missing: add them, or take "
            "the others away for the default split"
        )
    rows: _Rows = {part: [] for part in PARTS}
    for d, domain in enumerate(domains):
        for k, name in enumerate(classes):
            folder = root / domain / name
            if not folder.is_dir():
                raise UserError(
                    f"{dataset}: there is no folder {folder}. The layout is\n{spec['layout']}"
                )
            files = sorted(path.name for path in folder.iterdir() if _is_image(path))
            order = stream(0, "prepare", dataset, "split", domain, name).permutation(len(files))
            tested = (len(files) + 2) // 5
            for rank, position in enumerate(order):
                part = "test" if rank < tested else "train"
                rows[part].append(_Row(d, k, f"{domain}/{name}/{files[position]}"))
    notes = [
        "Split: a fifth of each domain and class, to the nearest image, from a named random stream "
        "is tested; all images are used."
    ]
    if pickles := sorted(path.name for path in root.glob("*.pkl")):
        notes.append(
            f"{', '.join(pickles)} were not opened: a pickle runs code. docs/data.md shows how to "
            "turn them into lists outside."
        )
        _log.warning("%s: %s", dataset, notes[-1])
    return _Listing(rows, classes, notes, {})


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _camelyon(dataset: str, root: Path) -> _Listing:
    """Hospitals are domains; as many patches of both classes, from a named stream.

    WILDS's own split is by hospital, which gives a hospital no test part; its column is not read.
    """
    spec, path = source_of(dataset), root / "metadata.csv"
    content = path.read_bytes()
    table = csv.DictReader(io.StringIO(content.decode(errors="replace")))
    if absent := [name for name in _COLUMNS if name not in (table.fieldnames or ())]:
        raise UserError(f"{path} has no column {', '.join(absent)}: put WILDS's file there")
    groups: dict[tuple[int, int], list[str]] = defaultdict(list)
    for number, line in enumerate(table, 2):
        try:
            patient, node, x, y, tumor, center = (int(line[name]) for name in _COLUMNS)
            if tumor not in (0, 1) or not 0 <= center < len(spec["facts"]["domains"]):
                raise ValueError("tumor is 0 or 1 and center 0 to 4")
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}, line {number}: {error}: put WILDS's file there") from None
        # Patients have three digits, nodes one.
        place = f"patient_{patient:03d}_node_{node}"
        groups[center, tumor].append(f"patches/{place}/patch_{place}_x_{x}_y_{y}.png")
    rows: _Rows = {part: [] for part in PARTS}
    for (center, tumor), names in groups.items():
        order = stream(0, "prepare", dataset, "split", center, tumor).permutation(len(names))
        tested = min(spec["cap"]["test"], (len(names) + 2) // 5)
        trained = min(spec["cap"]["train"], len(names) - tested)
        ordered = sorted(names)
        for rank, position in enumerate(order[: tested + trained]):
            part = "test" if rank < tested else "train"
            rows[part].append(_Row(center, tumor, ordered[position]))
    notes = [
        f"Per hospital and class at most {spec['cap']['train']} patches for training and "
        f"{spec['cap']['test']} others for testing, from a named random stream.",
        "The split is by patch: both parts can hold patches of one slide.",
    ]
    lists = {path.name: hashlib.sha256(content).hexdigest()}
    return _Listing(rows, spec["classes"], notes, lists)


_READERS: dict[str, Callable[[str, Path], _Listing]] = {
    "listed": _listed,
    "office": _office,
    "camelyon": _camelyon,
}
