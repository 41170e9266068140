"""What the papers' files of published numbers have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fedgenbench.config import Strict

Names = Annotated[list[str], Field(min_length=1)]


class PublishedFigure(Strict):
    """A published number outside tables, in a sentence."""

    text: str
    status: Literal["published", "second-hand"]
    source: str
