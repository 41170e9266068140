"""What a scale changes against the paper scale, setting by setting."""

from __future__ import annotations

from typing import Any

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
                "setting": f"{name}: {key}",
                "here": str(here.get(key, "none")),
                "paper": str(there.get(key, "none")),
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
                    "setting": f"{name}: {method}.{key}",
                    "here": str(here[key]),
                    "paper": str(there[key]),
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
