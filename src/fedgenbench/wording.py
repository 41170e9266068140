"""Words that every text for people needs."""

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """The number and its noun, in the plural where due: ``1 run``, ``2 runs``, ``1,200 runs``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def first_of(names: Sequence[str], most: int = 5) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
