"""What jobs leave for other jobs: files that say which job made them, and that know their checksum.

A job's folder ends with its digest, so a file of another client, seed or setting in its place is found,
and so is a flipped bit.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fedgenbench.core.digest import LENGTH, digest
from fedgenbench.core.errors import UserError
from fedgenbench.core.files import atomic_path, read_json, write_json

KEY = "artifact"  # one alone: safetensors writes several in an order that changes


def save(
    path: str | Path, kind: str, arrays: Mapping[str, np.ndarray], facts: dict[str, Any]
) -> None:
    """Writes ``arrays`` and JSON ``facts`` as what ``load`` takes for a file of ``kind``."""
    from safetensors.numpy import save_file

    # In rows: safetensors writes a transposed view as it lies. A number stays one.
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    known = {"kind": kind, "digest": digest_of(path), "facts": facts}
    known["sha256"] = checksum(arrays, facts)
    with atomic_path(path) as temporary:
        save_file(arrays, temporary, {KEY: json.dumps(known, sort_keys=True)})


def load(path: str | Path, kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and facts that ``save`` wrote.

    Raises:
        UserError: the file is missing, damaged, of another kind, or of another job than its folder's;
            says how to make it anew.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{path} is missing or damaged ({error}): {anew(path)}") from error
    try:
        known = json.loads(metadata[KEY])
        found, made_by = known["kind"], known["digest"]
        facts, recorded = known["facts"], known["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no file of {kind}: {anew(path)}") from error
    if found != kind:
        raise UserError(f"{path} is a file of {found}, not of {kind}: {anew(path)}")
    _require_maker(path, made_by)
    if recorded != checksum(arrays, facts):
        raise UserError(f"{path} does not match its checksum, so it was altered: {anew(path)}")
    return arrays, facts


def write_report(path: str | Path, content: dict[str, Any]) -> None:
    """Writes a job's report with its checksum; ``content`` has the job's ``digest``."""
    write_json(path, content | {"checksum": digest(_plain(content))})


def read_report(path: str | Path) -> dict[str, Any]:
    """What ``write_report`` wrote.

    Raises:
        UserError: the file is missing, damaged, altered, or of another job than its folder's.
    """
    content = read_json(path)
    recorded = content.pop("checksum", None) if isinstance(content, dict) else None
    if recorded != digest(content):
        raise UserError(f"{path} does not match its checksum, so it was altered: {anew(path)}")
    _require_maker(path, content.get("digest"))
    return content


def digest_of(path: str | Path) -> str | None:
    """The digest of the job in whose folder a file lies; None outside of such folders."""
    match = re.search(rf"-([0-9a-f]{{{LENGTH}}})$", Path(path).absolute().parent.name)
    return match and match[1]


def anew(path: str | Path) -> str:
    """How a job's file is made again."""
    return f"make it anew with `snakemake --cores all --force {path}`"


def checksum(arrays: Mapping[str, np.ndarray], facts: dict[str, Any]) -> str:
    """sha256 of JSON facts, and of arrays with their names, types and shapes."""
    found = hashlib.sha256(json.dumps(_plain(facts), sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def _require_maker(path: str | Path, made_by: str | None) -> None:
    wanted = digest_of(path)
    if wanted and made_by != wanted:
        raise UserError(
            f"{path} was made by the job {made_by}, not by {wanted} as its folder says; it lies in the "
            f"place of another file: {anew(path)}"
        )


def _plain(content: Any) -> Any:
    """``content`` as JSON gives it back: tuples become lists, keys strings."""
    return json.loads(json.dumps(content, allow_nan=False))
