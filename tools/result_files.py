"""What a file of results says, without what differs by design between two commits."""

import contextlib
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fedgenbench.core.errors import UserError
from fedgenbench.core.products import MEASURED as MEASURED_FILES
from fedgenbench.core.reports import MEASURED
from fedgenbench.report.collect import MEASURED_OF_JOBS
from fedgenbench.systems.base import systems

DIGEST = re.compile(r"(?<![0-9A-Za-z.])[0-9a-f]{10}(?![0-9A-Za-z])")
IN_PATH = re.compile(r"-([0-9a-f]{10})(?=[/.]|$)")

# What differs by design, as "file:key", and why; a key covers all below it. Digests of ten digits, which
# jobs, code, settings and reports have, are masked in names and strings everywhere.
_TIME = "of this time"
_MACHINE = "of this machine"
_CHECKSUM = "of a file that holds digests; its content is compared itself"
_CODE = "of the commit"
LEFT_OUT = {
    **{f"{name}*:": "times, memory and costs, by name" for name in MEASURED_FILES},
    **{
        f"{page}.pdf:": "digests and revision, compressed; the page beside it has the same parts"
        for page in ("report", "setup", *systems())
    },
    "*.safetensors:metadata.artifact.sha256": "of arrays and facts, compared themselves",
    "*.safetensors:metadata.artifact.facts.uploads": _CHECKSUM,
    "context.json:pictures.*.sha256": _CHECKSUM,
    "context.json:experiments.*.fedlmg.hardware": _MACHINE,
    "context.json:experiments.*.fedlmg.dirty": _CODE,
    **{
        f"{product}-#.json:{key}": _CHECKSUM
        for product in ("tables", "figures", "report")
        for key in ("files", "beside")
    },
    **{f"*run.json:{key}": _CHECKSUM for key in ("metrics_sha256", "report_sha256")},
    **{f"*run.json:{key}": _CODE for key in ("git_revision", "git_dirty", "lock_sha256")},
    **{f"*run.json:{key}": _TIME for key in {*MEASURED_OF_JOBS, *MEASURED, "ended", "attempts"}},
    **{
        f"*run.json:{key}": _MACHINE
        for key in (
            *("device", "gpu_id", "gpu_peak_memory_bytes", "cpu", "cpu_count", "platform"),
            *("python", "versions"),
        )
    },
    **{f"jobs.parquet:{key}": _MACHINE for key in ("device", "hardware", "torch")},
    **{f"jobs.parquet:{key}": _CODE for key in ("git_revision", "git_dirty")},
}
# Lines of tables and pages.
LEFT_OUT_LINES = {
    r"Warning: .* uncommitted changes\.": _CODE,
    r"Revision ([0-9a-f]{40}|unknown): ": _CODE,
    r"<li>PyTorch [^<]*</li>": _MACHINE,
}
_PATTERNS = re.compile("|".join(LEFT_OUT_LINES))
_TYPES = {
    **{f"{kind}{bits}": f"<{kind.lower()}{bits // 8}" for kind in "IU" for bits in (8, 16, 32, 64)},
    **{"F16": "<f2", "F32": "<f4", "F64": "<f8", "BOOL": "?"},
}


def left_out(place: str) -> bool:
    """Whether "file:key" differs by design."""
    return any(fnmatchcase(place, pattern) for pattern in LEFT_OUT)


def content(name: str, path: Path, made_by: set[str]) -> dict[str, np.ndarray]:
    """What a file says, by key, without what is left out and with digests masked.

    ``name`` is the file's, "#" for its digest; ``made_by`` are digests, revisions and machines that
    texts may name.
    """
    try:
        if path.suffix == ".json":
            return dict(_leaves(json.loads(path.read_text(encoding="utf-8")), name))
        if path.suffix == ".safetensors":
            return _safetensors(name, path.read_bytes())
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
            kept = [column for column in frame if not left_out(f"{name}:{column}")]
            return {"columns": _array(kept)} | {key: _array(frame[key]) for key in kept}
        if path.suffix == ".png":
            from PIL import Image

            with Image.open(path) as image:
                # RGBA would cut 16 bits to 8.
                return {"pixels": np.asarray(image.convert() if image.mode == "P" else image)}
        if path.suffix in (".csv", ".md", ".tex", ".html", ".svg"):
            return {"lines": _array(_lines(path.read_text(encoding="utf-8"), made_by))}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be read ({error}): make it anew") from error
    return {"bytes": np.frombuffer(path.read_bytes(), np.uint8)}


def _leaves(value: Any, name: str, key: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """JSON as arrays by dotted key: a number is one, and so is a list of them."""
    if left_out(f"{name}:{key}"):
        return
    parts = value.items() if isinstance(value, dict) else enumerate(value) if _nested(value) else ()
    for part, inner in parts:
        yield from _leaves(inner, name, f"{key}.{part}".lstrip("."))
    if not parts:
        yield key, _array(value if isinstance(value, list) else [value])


def _nested(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value)


def _array(values: Any) -> np.ndarray:
    """As it is if it is of numbers, else of objects, digests masked in strings."""
    if isinstance(values, pd.Series) and pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy()
    masked = [DIGEST.sub("#", value) if isinstance(value, str) else value for value in values]
    return np.fromiter(masked, object, len(masked))


def _safetensors(name: str, data: bytes) -> dict[str, np.ndarray]:
    import safetensors

    size = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + size]).get("__metadata__", {})
    for key, text in metadata.items():
        with contextlib.suppress(ValueError):  # not all of it is JSON
            metadata[key] = json.loads(text)
    found = dict(_leaves(metadata, name, "metadata"))
    for key, tensor in safetensors.deserialize(data):
        kind, shape = tensor["dtype"], tensor["shape"]
        # Of a type that NumPy lacks the bytes, the last axis.
        shape = shape if kind in _TYPES else [*shape, -1]
        found[key] = np.frombuffer(tensor["data"], _TYPES.get(kind, "u1")).reshape(shape)
    return found


def _lines(text: str, made_by: set[str]) -> list[str]:
    for name in made_by - set(filter(DIGEST.fullmatch, made_by)):
        text = text.replace(name, "#")
    text = DIGEST.sub(lambda found: "#" if found[0] in made_by else found[0], text)
    return [line for line in text.splitlines() if not _PATTERNS.search(line)]
