"""Parts of a job kept on disk, so that a killed job begins where it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fedgenbench.core.artifacts import checksum
from fedgenbench.core.errors import UserError
from fedgenbench.core.files import atomic_path


class Shards:
    """Arrays and JSON facts by name in ``folder``; ``identity`` names all that decides them."""

    def __init__(self, folder: Path, identity: str):
        self.folder, self.identity = folder, identity

    def put(self, name: str, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        from safetensors.numpy import save_file

        arrays = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
        known = {"identity": self.identity, "facts": facts, "sha256": checksum(arrays, facts)}
        with atomic_path(self.folder / f"{name}.safetensors") as temporary:
            save_file(arrays, temporary, {"shard": json.dumps(known)})

    def get(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """What was put under ``name``; None if nothing was, or if its file is damaged.

        Raises:
            UserError: the file is of another identity.
        """
        from safetensors import SafetensorError, safe_open

        path = self.folder / f"{name}.safetensors"
        try:
            with safe_open(path, "np") as file:
                arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                known = json.loads(file.metadata()["shard"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None
        if known["identity"] != self.identity:
            raise UserError(
                f"{path} belongs to {known['identity']}, not to {self.identity}: delete "
                f"{self.folder}"
            )
        return (
            (arrays, known["facts"])
            if known["sha256"] == checksum(arrays, known["facts"])
            else None
        )
