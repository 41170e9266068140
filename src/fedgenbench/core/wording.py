"""Words that every text for people needs."""

import difflib
from collections.abc import Collection, Sequence
from typing import Any


def counted(number: int, noun: str, plural: str = "") -> str:
    """The number and its noun, in the plural where due: ``1 run``, ``2 runs``, ``1,200 runs``."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def first_of(names: Sequence[str], most: int = 5) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def unknown(name: Any, known: Collection[Any], most: int = 1) -> str:
    """A sentence on a name that is none of ``known``, with at most so many of the nearest ones."""
    close = difflib.get_close_matches(str(name), [str(each) for each in known], most)
    if close:
        return f"{name!r} is not known; did you mean {' or '.join(map(repr, close))}?"
    return f"{name!r} is not known; known: {', '.join(str(each) for each in sorted(known))}"
