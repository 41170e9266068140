"""YAML files that people write: one sentence for whatever cannot be meant."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from fedgenbench.core.errors import UserError

# Values that a file may stand for once its aliases are written out; the repository's have 3,000.
MOST_VALUES = 100_000

_MERGE = "tag:yaml.org,2002:merge"


class _Core(yaml.SafeLoader):
    """Reads YAML 1.2, as DVC does: only true and false are booleans, 1e-05 is a number; 010, 1:30 and
    2026-01-01 are text."""

    yaml_implicit_resolvers: ClassVar = {}  # type: ignore[misc]  # the stub has it per instance


for _tag, _form, _first in (  # the core schema
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", "[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", "<<", "<"),
):
    _Core.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_form})$"), list(_first)
    )


def read_yaml(path: str | Path) -> Any:
    """The content of a file in YAML 1.2. Anchors, aliases and merge keys (``<<``) are understood.

    Raises:
        UserError: no such file, a folder, no UTF-8, no YAML, a key that stands twice in a mapping (of
            which YAML would silently take the last), an anchor that contains itself, or aliases that
            stand for more than ``MOST_VALUES``.
    """
    text = _text(Path(path))
    try:
        loader = _Core(text)  # it refuses characters that cannot be printed
        node = loader.get_single_node()
        if node is None:
            return None
        _Survey(loader).size(node)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    except ValueError as error:  # a tag that its value does not bear out, such as !!int x
        raise UserError(f"{path} is not valid YAML: {error}") from error
    except RecursionError:
        raise UserError(f"{path} is nested too deeply to be settings: write it flatter") from None


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run in the repository's folder") from None
    except UnicodeDecodeError as error:
        where = error.object[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path} is not UTF-8 text (line {where}): save it in the encoding UTF-8"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if "\0" in text:
        raise UserError(
            f"{path} is not UTF-8 text (it has zero bytes): save it in the encoding UTF-8"
        )
    return text


class _Survey:
    """Walks a document before it is built, each anchor once."""

    def __init__(self, loader: yaml.SafeLoader):
        self.loader = loader
        self.sizes: dict[int, int] = {}
        self.above: set[int] = set()

    def size(self, node: yaml.Node) -> int:
        """Number of values that ``node`` stands for."""
        if id(node) in self.above:
            raise _fault("an anchor contains itself", node)
        if id(node) not in self.sizes:
            self.above.add(id(node))
            self.sizes[id(node)] = 1 + sum(self.size(part) for part in self._parts(node))
            self.above.remove(id(node))
            if self.sizes[id(node)] > MOST_VALUES:
                raise _fault(f"aliases stand for more than {MOST_VALUES:,} values here", node)
        return self.sizes[id(node)]

    def _parts(self, node: yaml.Node) -> list[yaml.Node]:
        if isinstance(node, yaml.MappingNode):
            self._refuse_twins(node)
            return [part for pair in node.value for part in pair]
        return node.value if isinstance(node, yaml.SequenceNode) else []

    def _refuse_twins(self, node: yaml.MappingNode) -> None:
        seen = []
        for key, _ in node.value:
            scalar = isinstance(key, yaml.ScalarNode)
            if not scalar:
                raise _fault("a key must be a word or a number", key)
            value = "<<" if key.tag == _MERGE else self.loader.construct_object(key)
            if value in seen:
                raise _fault(f"{value!r} stands twice", key)
            seen.append(value)


def _fault(problem: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def typed(value: Any) -> Any:
    """A value of a command line: Snakemake leaves numbers inside lists and mappings as text."""
    if isinstance(value, dict):
        return {key: typed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [typed(each) for each in value]
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            plain = json.loads(value)
            return value if isinstance(plain, str | list | dict) else plain
    return value
