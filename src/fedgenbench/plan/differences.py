"""What a scale changes against the paper scale, setting by setting."""

from __future__ import annotations

from typing import Any

from fedgenbench.core.wording import counted
from fedgenbench.plan.settings import Settings


def differences_from_paper(settings: Settings, paper: Settings) -> list[dict[str, str]]:
    """What this scale changes against the paper scale, setting by setting."""
    rows = []
    for name, experiment in settings.experiments.items():
        if name not in paper.experiments or experiment.score_on == "valid":
            continue
        here, there = _flat(experiment.model_dump()), _flat(paper.experiments[name].model_dump())
        rows += [
            {
                "experiment": name,
                "setting": key,
                "here": _in_words(here.get(key)),
                "paper": _in_words(there.get(key)),
                "reason": experiment.note,
            }
            for key in sorted(here.keys() | there.keys())
            if here.get(key) != there.get(key)
            and key not in ("note", "engine", "evaluate_every", "ablations")
            # What is overridden shows below, with the rest of a method's settings.
            and not key.startswith("overrides.")
        ]
        # A method's settings are asked where it is played: overrides count.
        for method in experiment.methods:
            if method not in paper.experiments[name].methods:
                continue
            here, there = (_flat(s.played(name, method)[1]) for s in (settings, paper))
            rows += [
                {
                    "experiment": name,
                    "setting": f"{method}.{key}",
                    "here": _in_words(here[key]),
                    "paper": _in_words(there[key]),
                    "reason": settings.note,
                }
                for key in sorted(here)
                if here[key] != there[key]
            ]
    return rows


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat


def _in_words(value: Any) -> str:
    """A setting for a reader; of a list of blocks, their number."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case list() | tuple() if any(isinstance(each, dict) for each in value):
            return counted(len(value), "entry", "entries")
        case list() | tuple():
            return ", ".join(map(_in_words, value)) or "none"
    return str(value)
