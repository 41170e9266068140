"""What the papers' files of published numbers have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, FiniteFloat, ValidationError, model_validator

from fedgenbench.core.errors import UserError
from fedgenbench.core.reading import read_yaml
from fedgenbench.core.settings import Strict
from fedgenbench.core.wording import counted

NOTHING_PUBLISHED = (
    "Published: no cell of the paper's tables is at hand, so none stands beside ours."
)

Names = Annotated[list[str], Field(min_length=1)]


class PublishedFigure(Strict):
    """A published number outside tables, in a sentence."""

    text: str
    status: Literal["published", "second-hand"]
    source: str


class PublishedCell(Strict):
    """A cell, in per cent, for every combination of the lists."""

    methods: Names
    datasets: Names
    clients: Annotated[list[int], Field(min_length=1)]
    value: FiniteFloat | None
    status: Literal["published", "second-hand", "not available"]
    source: str

    @model_validator(mode="after")
    def _honest(self) -> Self:
        if (self.value is None) != (self.status == "not available"):
            raise ValueError("value is null exactly where status is 'not available'")
        return self


class Published(Strict):
    """What published.yaml holds."""

    cells: list[PublishedCell]
    figures: list[PublishedFigure]

    def cell(self, method: str, dataset: str, clients: int) -> PublishedCell | None:
        """The cell for a method id, data set title and client count; None where the table has none."""
        for cell in self.cells:
            if method in cell.methods and dataset in cell.datasets and clients in cell.clients:
                return cell
        return None


def published(path: str | Path) -> Published:
    """The content of a paper's published.yaml; raises UserError with the file and each faulty key."""
    return checked(Published, read_yaml(path), str(path))


def checked(model: type[Strict], raw: Any, where: str, below: str = "") -> Any:
    """``raw``, which stands below the key ``below``, as ``model``.

    Raises:
        UserError: names ``where`` and each faulty key.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults = []
        for item in error.errors():
            place: list[Any] = list(item["loc"])
            if place[:1] == ["test"]:
                del place[1:2]  # pydantic puts the shape there
            place = [*([below] if below else []), *map(str, place)]
            faults.append(f"  {'.'.join(place) or 'entry'}: {item['msg']}")
        lines = "\n".join(faults)
        raise UserError(
            f"{where} has {counted(len(faults), 'fault')}:\n{lines}\nSee docs/claims.md."
        ) from None
