"""Digests of settings and of the code that a rule really imports.

A digest stands in the path of what was made from it, so a changed setting or an edited module is a
new file name, and no scheduler metadata is needed to know that something is stale.
"""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = "fedgenbench"
ROOT = Path(__file__).resolve().parents[1]
LENGTH = 10

# Modules that change no result: settings are digested by value, a model's own file by name, and the
# others only watch a job.
NOT_FOLLOWED = frozenset(
    f"{PACKAGE}.{name}"
    for name in (
        "config",
        "grid",
        "models.registry",
        "runtime.gpu",
        "runtime.job",
        "runtime.progress",
        "runtime.provenance",
    )
)


def digest(value: Any) -> str:
    """A short hash of a JSON-serialisable value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def code_digest(*entries: str | Path) -> str:
    """A short hash of the modules that ``entries`` (module names or script files) import.

    Follows imports of this package anywhere in a module, inside functions too. Comments, docstrings
    and layout do not count.
    """
    seen: dict[str, str] = {}
    queue: list[str | Path] = list(entries)
    while queue:
        entry = queue.pop()
        path = entry if isinstance(entry, Path) else module_file(entry)
        key = entry.name if isinstance(entry, Path) else entry
        if key in seen or key in NOT_FOLLOWED:
            continue
        seen[key], imports = _parse(path, path.stat().st_mtime_ns)
        queue += imports
    return digest(seen)


def module_file(module: str) -> Path:
    """The source file of a module of this package."""
    base = ROOT.joinpath(*module.split(".")[1:])
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@cache
def _parse(path: Path, _modified: int) -> tuple[str, list[str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports.add(node.module)
            imports |= {f"{node.module}.{name.name}" for name in node.names}
        body = getattr(node, "body", None)
        documented = isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        )
        if documented and body and ast.get_docstring(node, clean=False) is not None:
            node.body = body[1:]
    ours = {
        parent
        for name in imports
        if name.split(".")[0] == PACKAGE
        for parent in _with_parents(name)
        if module_file(parent).exists()
    }
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), sorted(ours)


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]
