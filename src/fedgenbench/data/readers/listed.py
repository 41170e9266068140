"""Lists of training and test images per domain: DomainNet's official form."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from fedgenbench.core.errors import UserError
from fedgenbench.data.readers.listing import PARTS, Listing, Row, Rows, require_apart, require_whole
from fedgenbench.data.sources import entry_of, source_of

# Domain, class and name of the images of each part, once each, in the order of the lists
Found = dict[str, dict[tuple[int, str, str], None]]


def listing(dataset: str, root: Path) -> Listing:
    """The split of ``{domain}_train.txt`` and ``{domain}_test.txt`` (DomainNet's official form).

    A line is a path, whose last three parts are domain, class and file, and the class's number or
    name. Classes are the source's, or all (the ``first`` so many, if it says) in the order of their
    numbers.
    """
    spec, lists = source_of(dataset), {}
    labels: dict[str, str] = {}
    found: Found = {part: {} for part in PARTS}
    held: Counter[str] = Counter()
    for number, domain in enumerate(spec["facts"]["domains"]):
        for part in PARTS:
            path = entry_of(root, f"{domain}_{part}.txt")
            content = path.read_bytes()
            lists[path.name] = hashlib.sha256(content).hexdigest()
            for category, name in _images(path, content, domain, labels):
                found[part][number, category, name] = None
                held[domain] += 1
    require_whole(dataset, root, held)
    train, test = ((name for _, _, name in found[part]) for part in PARTS)
    require_apart(dataset, train, test, f"Mend the lists in {root}")
    classes = spec["classes"] or _numbered_classes(dataset, root, labels)
    if unknown := [name for name in classes if name not in labels]:
        raise UserError(f"{dataset}: the lists in {root} name no image of {', '.join(unknown)}")
    cap = spec.get("cap", {})
    notes = ["The split of the lists.", *cap_notes(cap)]
    return Listing(capped(rows_of(found, classes), cap), classes, notes, lists)


def rows_of(found: Found, classes: list[str]) -> Rows:
    """The rows of the images that belong to ``classes``, in the order of the lists."""
    position = {name: label for label, name in enumerate(classes)}
    return {
        part: [Row(d, position[c], name) for d, c, name in found[part] if c in position]
        for part in PARTS
    }


def capped(rows: Rows, cap: dict[str, int]) -> Rows:
    """The first ``cap[part]`` rows of each domain and class, in their order; all of other parts."""
    return {part: _first(rows[part], cap[part]) if part in cap else rows[part] for part in rows}


def _first(rows: list[Row], cap: int) -> list[Row]:
    kept: list[Row] = []
    taken: Counter[tuple[int, int]] = Counter()
    for row in rows:
        taken[row.domain, row.label] += 1
        if taken[row.domain, row.label] <= cap:
            kept.append(row)
    return kept


def cap_notes(cap: dict[str, int]) -> list[str]:
    """What a card says of ``cap``."""
    return [
        f"{part}: the first {most} images of each domain and class, in the order of the lists."
        for part, most in cap.items()
    ]


def text_lines(path: Path, content: bytes) -> Iterable[tuple[int, str]]:
    """Number and text of each line that is not blank. ``UserError`` if ``content`` is no text."""
    try:
        text = content.decode("utf-8-sig")  # an editor's mark at the beginning is no text
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no plain text ({error}): put the right list there") from None
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line.strip()


def _images(
    path: Path, content: bytes, domain: str, labels: dict[str, str]
) -> Iterable[tuple[str, str]]:
    """Class and name of each line; ``labels`` gathers what each class is called in all lists."""
    for number, line in text_lines(path, content):
        written, _, label = line.rpartition(" ")
        parts = PurePosixPath(written).parts[-3:]
        if len(parts) < 3 or parts[0] != domain or ".." in parts:
            raise UserError(
                f"{path}, line {number}: {line!r} is not '{domain}/<class>/<file> <label>'"
            )
        category = parts[1]
        known = labels.setdefault(category, label)
        if label != known or not (label.isdecimal() or label == category):
            raise UserError(
                f"{path}, line {number}: an image in the folder {category} has the label {label}, "
                f"not {known if label != known else category}: mend the list"
            )
        yield category, "/".join(parts)


def _numbered_classes(dataset: str, root: Path, labels: dict[str, str]) -> list[str]:
    spec = source_of(dataset)
    if "first" in spec:
        labels = {
            name: label
            for name, label in labels.items()
            if not label.isdecimal() or int(label) < spec["first"]
        }
    numbers = {int(label): name for name, label in labels.items() if label.isdecimal()}
    wanted = len(spec["facts"]["train"])
    if sorted(numbers) != list(range(wanted)) or len(labels) != wanted:
        raise UserError(
            f"{dataset}: the lists in {root} have {len(labels)} classes under {len(numbers)} "
            f"numbers, not {wanted} under 0 to {wanted - 1}: put the official ones there"
        )
    return [numbers[number] for number in range(wanted)]
