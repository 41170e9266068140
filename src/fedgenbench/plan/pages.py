"""The settings page and the JSON schema of the documentation, from the types in ``config``."""

from __future__ import annotations

import json
from typing import Any

from fedgenbench.core.files import write_text
from fedgenbench.core.scales import SCALES
from fedgenbench.federated.method import METHODS, method_class
from fedgenbench.plan.settings import Settings


def schema() -> str:
    """The JSON schema of ``params.yaml`` (editors complete and check from it)."""
    document = Settings.model_json_schema()
    document["title"] = "FedGenBench settings"
    # What stands in for another experiment says only what differs from it.
    like = {"type": "object", "properties": {"like": {"type": "string"}}, "required": ["like"]}
    experiments = document["properties"]["experiments"]
    experiments["additionalProperties"] = {"anyOf": [experiments["additionalProperties"], like]}
    document["properties"]["scales"] = {
        "description": "Overlays of the keys above, by scale.",
        "type": "object",
        "propertyNames": {"enum": list(SCALES)},
    }
    methods = {
        name: method_class(name).Settings.model_json_schema() | {"description": _first_line(name)}
        for name in METHODS
    }
    document["properties"]["methods"] = {
        "type": "object",
        "properties": methods,
        "additionalProperties": False,
    }
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _first_line(method: str) -> str:
    cls = method_class(method)
    return f"{cls.label}. {(cls.__doc__ or '').strip().splitlines()[0]}"


def page() -> str:
    """The settings page of the documentation, in Markdown."""
    lines = [
        "# Settings",
        "",
        "Generated from the types in `src/fedgenbench/plan/settings.py`; do not edit. Every value, with",
        "its reason, stands in `params.yaml`.",
        "",
    ]
    documents = Settings.model_json_schema()
    parts = {"Settings": documents, **documents["$defs"]}
    for title, part in parts.items():
        lines += [f"## {title}", "", (part.get("description") or "").strip(), ""]
        lines += _rows(part)
    lines += ["## Methods", ""]
    for name in METHODS:
        cls = method_class(name)
        lines += [f"### `{name}`", "", f"{_first_line(name)} Source: {cls.source}.", ""]
        lines += _rows(cls.Settings.model_json_schema())
    return "\n".join(lines).rstrip() + "\n"


def _rows(part: dict[str, Any]) -> list[str]:
    if not part.get("properties"):
        return []
    rows = ["| key | type | meaning |", "| --- | --- | --- |"]
    for key, value in part["properties"].items():
        rows.append(f"| `{key}` | {_type(value)} | {value.get('description', '')} |")
    return [*rows, ""]


def _type(value: dict[str, Any]) -> str:
    if "$ref" in value:
        return value["$ref"].rsplit("/", 1)[-1]
    for union in ("anyOf", "oneOf"):
        if union in value:
            return " or ".join(_type(item) for item in value[union])
    if "enum" in value:
        return ", ".join(f"`{item}`" for item in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    bounds = [
        f"{sign} {value[key]:g}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in value
    ]
    kind = value.get("type", "any")
    if kind == "array":
        kind = f"list of {_type(value['items'])}" if "items" in value else "list"
    return " ".join([kind, ", ".join(bounds)]).strip()


if __name__ == "__main__":
    write_text("docs/params.schema.json", schema())
    write_text("docs/settings.md", page())
