"""What a reader of a layout gives back."""

from pathlib import Path
from typing import NamedTuple

SUFFIXES = {".jpg", ".jpeg", ".png"}
PARTS = ("train", "test")
_SHOWN = 5


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


def shown(items: list[str]) -> str:
    """The first of many names, and how many more there are."""
    rest = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + rest


def is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
