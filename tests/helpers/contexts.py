"""What a job gets, made up."""

from pathlib import Path
from typing import Any

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.files import write_json
from fedgenbench.systems.base import JobKind
from fedgenbench.systems.job import Context


def context(folder: Path, kind: JobKind, classes: list[str], **changes: Any) -> Context:
    """Of a job of ``kind`` with everything in ``folder``, on data of ``classes``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "card.json", {"classes": classes})
    made = {
        "experiment": "toy",
        "name": "main",
        "seed": 0,
        "digest": "0123456789",
        "device": "cpu",
        "settings": {},
        "data": folder,
        "partition_file": None,
        "inputs": {},
        "outputs": {name: folder / file for name, file in kind.files.items()},
        "checkpoint": Checkpoint(folder / "checkpoint", "0123456789"),
    }
    return Context(**made | changes)
