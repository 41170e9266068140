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

from fedgenbench.core.files import sha256_file

PACKAGE = "fedgenbench"
ROOT = Path(__file__).resolve().parents[1]
LENGTH = 10

# Modules that change no result: settings are digested by value, a model's own file by name, and the
# others only plan a job or watch it.
NOT_FOLLOWED = frozenset(
    f"{PACKAGE}.{name}"
    for name in (
        "core.determinism",
        "core.gpu",
        "core.job",
        "core.memory",
        "core.progress",
        "core.provenance",
        "core.reading",
        "core.settings",
        "models.limits",
        "models.registry",
        "plan",
        "plan.grid",
        "plan.settings",
        "systems.base",
    )
)
# Digested by value, data set by data set and network by network.
DATA_NOT_FOLLOWED = frozenset({"sources.yaml", "weights.yaml"})


def digest(value: Any) -> str:
    """A short hash of a JSON-serialisable value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def code_digest(*entries: str) -> str:
    """A short hash of the modules that ``entries`` (modules, or script files) import.

    Follows imports of this package anywhere in a module, inside functions too, and the data files
    beside a module (or in its templates folder) that it calls by name. Comments, docstrings and
    layout do not count, nor does the version of Python, nor what modules and files are called: moving
    or renaming a module keeps every digest. The price: where a name is imported from another module
    than before, and both modules were imported anyway, the digest stays too.
    """
    seen: dict[str, str] = {}
    queue = list(entries)
    while queue:
        entry = queue.pop()
        if entry in seen or entry in NOT_FOLLOWED:
            continue
        path = Path(entry) if entry.endswith(".py") else module_file(entry)
        seen[entry], imports, data = _parse(path, path.stat().st_mtime_ns)
        queue += imports
        seen |= {str(file): sha256_file(file) for file in data}
    return digest(sorted(set(seen.values())))


def module_file(module: str) -> Path:
    """The source file of a module of this package."""
    base = ROOT.joinpath(*module.split(".")[1:])
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@cache
def _parse(path: Path, _modified: int) -> tuple[str, list[str], list[Path]]:
    """The hash of a module's code, the modules of this package it imports, its data files."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports: set[str] = set()
    words: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports.add(node.module)
            imports |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.add(node.value)
    ours = {
        parent
        for name in imports
        if name.split(".")[0] == PACKAGE
        for parent in _with_parents(name)
        if module_file(parent).exists()
    }
    return hashlib.sha256(repr(_plain(tree)).encode()).hexdigest(), sorted(ours), _data(path, words)


def _plain(node: Any) -> Any:
    """A syntax tree as nested tuples, without positions, docstrings, empty fields and our imports.

    Empty fields are left out because Python's versions differ in which ones there are.
    """
    if isinstance(node, list):
        return [_plain(item) for item in node if not _imports_ours(item)]
    if not isinstance(node, ast.AST):
        return node
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    if (
        isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node, clean=False) is not None
    ):
        fields["body"] = node.body[1:]
    if isinstance(node, ast.Constant):  # None is a value here, and 1, 1.0 and True are not equal
        fields = {"value": (type(node.value).__name__, node.value)}
    return (type(node).__name__, *((name, _plain(value)) for name, value in fields.items()))


def _imports_ours(node: Any) -> bool:
    if isinstance(node, ast.Import):
        return all(name.name.split(".")[0] == PACKAGE for name in node.names)
    return isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE


def _data(path: Path, words: set[str]) -> list[Path]:
    if ROOT not in path.parents:
        return []
    return sorted(
        file
        for folder in (path.parent, path.parent / "templates")
        for file in (folder.iterdir() if folder.is_dir() else ())
        if file.name in words
        and file.suffix != ".py"
        and file.is_file()
        and file.name not in DATA_NOT_FOLLOWED
    )


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]
