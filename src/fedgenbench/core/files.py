"""Files that are whole or absent: temporary name beside the target, then rename."""

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedgenbench.core.errors import UserError

_TEMPORARY = ".tmp"


@contextlib.contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside ``target`` and renames it there when the block succeeds.

    On any failure the temporary file is removed and the old ``target`` stays as it was; what a killed
    writer of ``target`` left goes, too. A full disk becomes a ``UserError`` that names the file.
    """
    target = Path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(target)
        handle, name = tempfile.mkstemp(_TEMPORARY, f".{target.name}.", target.parent)
    except OSError as error:
        raise UserError(_not_written(target, error)) from error
    lock(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except Exception as error:
        # safetensors reports a refusal of the system as an error of its own.
        if not isinstance(error, OSError) and "I/O error" not in str(error):
            raise
        raise UserError(_not_written(target, error)) from error
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _not_written(target: Path, error: Exception) -> str:
    return (
        f"could not write {target}: {getattr(error, 'strerror', None) or error}. What was there "
        "before is untouched; free some space or mend the permissions, then run the same "
        "command again."
    )


def _remove_left(target: Path) -> None:
    for left in target.parent.glob(f".{glob.escape(target.name)}.*{_TEMPORARY}"):
        with contextlib.suppress(FileNotFoundError), open(left, "rb") as file:
            if lock(file.fileno()):
                left.unlink(missing_ok=True)


def lock(handle: int) -> bool:
    """Locks an open file or folder until it is closed, if by the death of this process.

    False where another process holds it, or where the file system knows no locks.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def write_text(target: str | Path, text: str) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: str | Path, value: Any) -> None:
    """Sorted keys and a final newline: equal values give equal bytes. NaN is refused."""
    write_text(target, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the rule that makes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is not valid JSON ({error}): delete it and run the same command again"
        ) from error


def sha256_file(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
