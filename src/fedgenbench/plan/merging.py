"""Layers of settings to one: the file, the command line, a scale's overlay; and ``like``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fedgenbench.core.errors import UserError


def merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """``overlay`` over ``base``, key by key; anything but a mapping replaces."""
    merged = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        # Another partition scheme is another type: its keys do not mix with the old one's.
        fresh = both and "scheme" in value and value["scheme"] != merged[key].get("scheme")
        merged[key] = merge(merged[key], value) if both and not fresh else value
    return merged


def combine(
    layers: Sequence[dict[str, Any]], path: str
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """``layers`` merged in turn, each experiment's ``like`` replaced by what it stands for; and the
    methods that each experiment itself, not what it is like, gives ``overrides`` of.

    An experiment that a later layer sets to null is left out after that, so that others may be like
    it, or stand ``beside`` it, which then says nothing.

    Raises:
        UserError: a ``like`` that ends nowhere; ``path`` is the file that it names.
    """
    merged: dict[str, Any] = {}
    dropped: set[str] = set()
    for layer in layers:
        given = layer.get("experiments")
        if isinstance(given, dict):
            known = merged.get("experiments")
            known = known if isinstance(known, dict) else {}
            nulls = {n for n, e in given.items() if e is None and isinstance(known.get(n), dict)}
            dropped |= nulls
            layer = layer | {"experiments": {n: e for n, e in given.items() if n not in nulls}}
        merged = merge(merged, layer)
    given = merged.get("experiments")
    if not isinstance(given, dict):
        return merged, {}
    kept, overridden = {}, {}
    for name in given:
        if given[name] is None or name in dropped:
            continue
        entry = _filled(given, name, path)
        if isinstance(entry, dict) and entry.get("beside") in dropped:
            entry = entry | {"beside": None}
        own = given[name].get("overrides") if isinstance(given[name], dict) else None
        kept[name], overridden[name] = entry, list(own) if isinstance(own, dict) else []
    return merged | {"experiments": kept}, overridden


def _filled(given: dict[str, Any], name: str, path: str, above: tuple[str, ...] = ()) -> Any:
    entry = given[name]
    if not isinstance(entry, dict) or "like" not in entry:
        return entry
    base = entry["like"]
    known = isinstance(base, str) and given.get(base) is not None
    if not known or base in (*above, name):
        raise UserError(
            f"{path}: experiments.{name}.like: name another experiment, not {base!r}, and not in a "
            "circle"
        )
    own = {key: value for key, value in entry.items() if key != "like"}
    return merge(_filled(given, base, path, (*above, name)), own)
