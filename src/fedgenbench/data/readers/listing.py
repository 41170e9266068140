"""What a reader of a layout gives back, and what no reader lets pass."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from fedgenbench.core.errors import UserError
from fedgenbench.core.wording import first_of
from fedgenbench.data.sources import SOURCES, source_of

# What data/pictures.py opens, and what it does not: that is refused by name, not passed over.
_OPENED = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".webp", ".avif", ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm"),
)
_REFUSED = (".heic", ".heif", ".jxl", ".svg", ".psd", ".tga", ".eps")
SUFFIXES = frozenset((*_OPENED, *_REFUSED))
PARTS = ("train", "test")


class Row(NamedTuple):
    """One image; rows sort by domain, class and name. ``name`` is its path below the set's root."""

    domain: int
    label: int
    name: str


Rows = dict[str, list[Row]]


class Listing(NamedTuple):
    """The rows of each part, the classes in the order of their labels, and what the card notes."""

    rows: Rows
    classes: list[str]
    notes: list[str]
    # sha256 of the lists that decided, by file name
    lists: dict[str, str]


def is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def require_whole(
    dataset: str, root: Path, held: Mapping[str, int], empty: Mapping[str, list[str]] | None = None
) -> None:
    """``UserError`` if a domain has not as many images as the whole set is known to have.

    ``held`` are images by domain, ``empty`` the classes of which a domain has none.
    """
    facts = source_of(dataset)["facts"]
    wrong = []
    for domain, whole in facts.get("whole", {}).items():
        count = held.get(domain, 0)
        if domain in facts["domains"] and count != whole:
            lacking = (empty or {}).get(domain)
            rest = f", none of {', '.join(lacking)}" if lacking else ""
            wrong.append(f"  {domain}: {count} of {whole}{rest}")
    if wrong:
        raise UserError(
            "\n".join(
                [
                    f"{dataset}: {root} holds another number of images than the whole set has:",
                    *wrong,
                    "Unpack the archive again. If yours differs on purpose, take `whole` out of the "
                    f"entry {dataset} in src/fedgenbench/data/{SOURCES.name}",
                ]
            )
        )


def require_apart(dataset: str, train: Iterable[str], test: Iterable[str], remedy: str) -> None:
    """``UserError`` if an image is listed for training and for testing."""
    if both := sorted({*train} & {*test}):
        raise UserError(
            f"{dataset}: {len(both)} images are listed for training and for testing: "
            f"{first_of(both)}. {remedy}"
        )
