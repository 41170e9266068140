"""Kinds of values that settings share."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

# Longer names of experiments, methods and clients' parts together would leave what file systems take.
LONGEST_NAME = 64
# A root of random streams fits into a signed 64-bit number, which JSON and Parquet hold exactly.
LARGEST_SEED = 2**63 - 1


def _distinct(values: list[Any]) -> list[Any]:
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"names {value!r} twice; once is enough")
    return values


# For lists in which a second mention can only be a mistake.
Distinct = AfterValidator(_distinct)


def _name(text: str, letters: str) -> str:
    if len(text) > LONGEST_NAME or not re.fullmatch(f"[a-z0-9][a-z0-9{letters}]*", text):
        raise ValueError(
            f"this name stands in paths: write it with lower-case letters, digits and {letters}, a "
            f"letter or digit first, and no longer than {LONGEST_NAME}"
        )
    return text


def _path_name(text: str) -> str:
    return _name(text, "_.-")


def _plain_name(text: str) -> str:
    return _name(text, "_")


PathName = Annotated[str, AfterValidator(_path_name)]
PlainName = Annotated[str, AfterValidator(_plain_name)]

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
