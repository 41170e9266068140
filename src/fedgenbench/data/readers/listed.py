"""Lists of training and test images per domain: DomainNet's official form."""

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from fedgenbench.data.fetch import find_entry, source_of
from fedgenbench.data.readers.listing import PARTS, Listing, Row, shown
from fedgenbench.errors import UserError


def listing(dataset: str, root: Path) -> Listing:
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
            f"{shown([name for _, _, name in both])}. Mend the lists in {root}"
        )
    classes = spec["classes"] or _all_classes(dataset, root, labels)
    if unknown := [name for name in classes if name not in labels]:
        raise UserError(f"{dataset}: the lists in {root} name no image of {', '.join(unknown)}")
    position = {name: label for label, name in enumerate(classes)}
    rows = {
        part: [Row(d, position[c], name) for d, c, name in found[part] if c in position]
        for part in PARTS
    }
    return Listing(rows, classes, ["The split of the lists."], lists)


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
