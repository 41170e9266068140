"""What settings share: their strict base, optimisers, kinds of values. Loads nothing heavy."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from fedgenbench.core.errors import UserError

# Longer names of experiments, methods and clients' parts together would leave what file systems take.
LONGEST_NAME = 64
# A root of random streams fits into a signed 64-bit number, which JSON and Parquet hold exactly.
LARGEST_SEED = 2**63 - 1


class Strict(BaseModel):
    """Base of all settings: unknown keys and wrong types are refused, values stay as they are."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


S = TypeVar("S", bound=Strict)

Statistics = Literal["recalibrated", "running"]


class SGDSettings(Strict):
    """Stochastic gradient descent with momentum, in passes over images."""

    epochs: int = Field(ge=1, description="Passes over the images.")
    batch_size: int = Field(ge=1, description="Images in a step; a pass's last may be fewer.")
    lr: float = Field(gt=0, description="Learning rate.")
    momentum: float = Field(ge=0, lt=1, description="Momentum, zero at the start.")
    weight_decay: float = Field(ge=0, description="L2 penalty on all trained tensors.")
    statistics: Statistics = Field(
        default="recalibrated",
        description="Batch norm's at inference: recalibrated are those of the trained weights over the "
        "images that they were trained on (docs/normalisation.md); running, torch's averages on the way.",
    )


class AdamWSettings(Strict):
    """AdamW at a constant rate, in steps: a shorter run is the beginning of a longer one."""

    steps: int = Field(ge=1, description="Optimiser steps.")
    batch_size: int = Field(ge=1, description="Images in a step; where there are fewer, all.")
    lr: float = Field(gt=0, description="Learning rate.")
    save_every: int = Field(ge=1, description="Steps between checkpoints.")


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


def checked(kind: type[S], values: Any, whose: str) -> S:
    """``values`` of a file as settings of ``kind``; ``UserError`` with what is wrong, of ``whose``."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        said = "; ".join(explain(item, (kind.__name__,)) for item in error.errors())
        raise UserError(f"{whose} says something impossible of itself: {said}") from error


def explain(error: Any, prefix: tuple[str, ...] = ()) -> str:
    """One of pydantic's errors as a sentence, ``prefix`` being the place of what was validated."""
    # Of a partition's address pydantic makes partition.<scheme>.<key>.
    place = [str(part) for part in (*prefix, *error["loc"]) if part != "[key]"]
    if place[0] == "experiments" and place[2:3] == ["partition"]:
        del place[3:4]
    key = ".".join(place)
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; is it misspelt or in the wrong place?"
    if error["type"] == "missing":
        return f"{key}: missing"
    if error["type"] == "value_error":
        return f"{key}: {error['ctx']['error']}"
    value = "" if isinstance(error["input"], dict) else f" = {error['input']!r}"
    return f"{key}{value}: {error['msg']}"
