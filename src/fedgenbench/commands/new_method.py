"""A new method's file and its row in the documentation, from a template."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import write_text
from fedgenbench.federated.method import METHODS

FOLDER = Path("src/fedgenbench/federated/methods")
PAGE = Path("docs/methods.md")

_CODE = '''"""{label}: say in a line what it does, and where it comes from."""

from pydantic import Field

from fedgenbench.federated.method import Method, MethodSettings
from fedgenbench.federated.types import Slots, State


class {label}(Method):
    """FedAvg with a pull towards the received model: replace it by what makes the method itself."""

    label = "{label}"
    family = "global"
    source = "to be named"
    personal = "global"

    class Settings(MethodSettings):
        strength: float = Field(description="Weight of the pull.", ge=0)

    def adjust(self, grads: State, slots: Slots) -> State:
        from fedgenbench.federated.task import proximal

        return proximal(grads, slots["model"], slots["start"], self.settings.strength)
'''
_NEXT = """Wrote {file} and its row in {page}.
It is FedAvg with a pull towards the received model until you make it something else
({page}, Add your own method).

Add to params.yaml, with the reason for the value, and name it in an experiment's methods:

  methods:
    {name}: {{strength: 0.1}}

Then `make docs` renews the settings page, and `pytest tests/federated -k {name}` checks it."""


def add(name: str) -> str:
    """Writes the files for a method ``name`` and says what is left to do.

    Raises:
        UserError: the name cannot be one or is taken, or this is not the repository's folder.
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(
            f"{name!r} cannot name a method: write lower-case letters, digits and _, a letter first, and "
            "no word of Python's own"
        )
    file = FOLDER / f"{name}.py"
    if name in METHODS or file.exists():
        raise UserError(f"there is a method {name!r} already: choose another name")
    for place in (FOLDER, PAGE):
        if not place.exists():
            raise UserError(f"{place} is missing: run in the repository's folder")
    label = "".join(part.capitalize() for part in name.split("_"))
    text = PAGE.read_text(encoding="utf-8")
    page = _with_row(text, f"| `{name}` | {label} | global | to be named | `strength` | w / w | |")
    write_text(file, _CODE.format(label=label))
    write_text(PAGE, page)
    return _NEXT.format(file=file, page=PAGE, name=name)


def _with_row(text: str, row: str) -> str:
    """The page with a row below the last one of its table of methods."""
    lines = text.splitlines()
    rows = [number for number, line in enumerate(lines) if re.match(r"\| `\w+` \|", line)]
    if not rows:
        raise UserError(f"{PAGE} has no table of methods to add a row to: restore it from Git")
    lines.insert(rows[-1] + 1, row)
    return "\n".join(lines) + "\n"
