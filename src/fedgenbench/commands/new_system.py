"""A new system's folder and its test, from templates."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import write_text
from fedgenbench.federated.method import METHODS
from fedgenbench.systems.base import kinds, systems

TEMPLATES = Path(__file__).with_name("templates") / "system"
SYSTEMS, TESTS = Path("src/fedgenbench/systems"), Path("tests/systems")
_NEXT = """Wrote {folder} and {test}.
It counts the classes that each client holds until you make it a paper's (docs/architecture.md).

Give an experiment of params.yaml its block, with the reason for the value:

  experiments:
    emoji_domains:
      {name}: {{least: 10}}

Then `make docs` renews the settings page, `snakemake {name} -n` shows its jobs, and
`pytest tests/systems` checks it."""


def add(name: str) -> str:
    """Writes the files of a system ``name`` and says what is left to do.

    Raises:
        UserError: the name cannot be one or is taken, or this is not the repository's folder.
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(
            f"{name!r} cannot name a system: write lower-case letters, digits and _, a letter first, and "
            "no word of Python's own"
        )
    folder = SYSTEMS / name
    if name in (*METHODS, *systems(), *kinds()) or folder.exists():
        raise UserError(f"{name!r} names a system, a method or a job already: choose another name")
    for place in (SYSTEMS, TESTS):
        if not place.is_dir():
            raise UserError(f"{place} is missing: run in the repository's folder")
    words = {
        "name": name,
        "label": "".join(part.capitalize() for part in name.split("_")),
        "order": str(1 + max(system.order for system in systems().values())),
    }
    test = TESTS / name / f"test_{name}.py"
    for template in sorted(TEMPLATES.glob("*.txt")):
        place = test if template.stem == "test.py" else folder / template.stem
        write_text(place, Template(template.read_text(encoding="utf-8")).substitute(words))
    return _NEXT.format(folder=folder, test=test, name=name)
