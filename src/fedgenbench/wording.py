"""Words that every text for people needs."""


def counted(number: int, noun: str) -> str:
    """The number and its noun, in the plural where due: ``1 run``, ``2 runs``, ``1,200 runs``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
