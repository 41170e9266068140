"""Parts of a job kept on disk, so that a killed job goes on where it was."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgenbench.core.artifacts import checksum
from fedgenbench.core.errors import UserError
from fedgenbench.core.files import atomic_path
from fedgenbench.core.termination import end_if_told

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

KEY = "checkpoint"


class Checkpoint:
    """Arrays and JSON facts by name in ``folder``; ``identity`` names all that decides them.

    A part that is put again leaves the one before it beside, which stands in where the newer file is
    damaged.
    """

    def __init__(self, folder: str | Path, identity: str):
        self.folder, self.identity = Path(folder), identity

    def put(
        self, name: str, arrays: Mapping[str, np.ndarray | Tensor], facts: Mapping[str, Any]
    ) -> None:
        """Writes a part, whole or not at all. Tensors come from any device, in types NumPy has.

        Does not return in a process that was told to end.
        """
        from safetensors.numpy import save_file

        plain = {key: _array(values) for key, values in arrays.items()}
        known = {
            "identity": self.identity,
            "facts": facts,
            # safetensors sorts names; sums over a state keep their order on resumption.
            "order": list(plain),
            "sha256": checksum(plain, dict(facts)),
        }
        path = self._path(name)
        with atomic_path(path) as temporary:
            save_file(plain, temporary, {KEY: json.dumps(known)})
            if path.exists():
                os.replace(path, self._before(path))
        end_if_told()

    def get(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """What was put under ``name`` last; None if nothing was, or if all of it is damaged.

        Raises:
            UserError: the file is of another identity.
        """
        path = self._path(name)
        for place in (path, self._before(path)):
            if not place.exists():
                continue
            if part := self._read(place):
                return part
            print(f"{place} is damaged, and not used", file=sys.stderr, flush=True)
        return None

    def tensors(
        self, name: str, device: Any = "cpu"
    ) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The same as tensors on ``device``."""
        import torch

        if (part := self.get(name)) is None:
            return None
        # A copy is aligned in memory as fresh tensors are; kernels round by alignment.
        return {k: torch.from_numpy(a).clone().to(device) for k, a in part[0].items()}, part[1]

    def below(self, name: str) -> Checkpoint:
        """Another store of the same identity in a folder of this one."""
        return Checkpoint(self.folder / name, self.identity)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    @staticmethod
    def _before(path: Path) -> Path:
        return path.with_suffix(".before.safetensors")

    def _read(self, path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "np") as file:
                known = json.loads(file.metadata()[KEY])
                arrays = {key: file.get_tensor(key) for key in known["order"]}
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None
        if known["identity"] != self.identity:
            raise UserError(
                f"{path} belongs to {known['identity']}, not to {self.identity}: delete "
                f"{self.folder}"
            )
        whole = known["sha256"] == checksum(arrays, known["facts"])
        return (arrays, known["facts"]) if whole else None


def _array(values: np.ndarray | Tensor) -> np.ndarray:
    plain = values.detach().cpu().numpy() if hasattr(values, "detach") else values
    # In rows: safetensors writes a transposed view as it lies. A number stays one.
    return np.asarray(plain, order="C")


def moments(optimiser: Optimizer) -> dict[str, Tensor]:
    """What an optimiser remembers, by ``adam/<row>/<name>``."""
    return {
        f"adam/{row}/{name}": tensor
        for row, state in optimiser.state_dict()["state"].items()
        for name, tensor in state.items()
    }


def restore_moments(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Gives an optimiser what ``moments`` kept of it among ``tensors``."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        part, _, rest = key.partition("/")
        if part == "adam":
            row, name = rest.split("/")
            state.setdefault(int(row), {})[name] = tensor
    optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
