"""Settings as they are after all layers: the file, the scale's overlay, ``like`` and overrides."""

from __future__ import annotations

import difflib
from typing import Any

import yaml

from fedgenbench.core.errors import UserError
from fedgenbench.plan import settings as config


def resolved(scale: str | None, experiment: str | None) -> str:
    """A scale's settings as YAML; or an experiment's, with the data set and each row's method.

    Raises:
        UserError: the settings are faulty, or the scale has no such experiment.
    """
    chosen, scales = config.load(overrides={"scale": scale} if scale else None)
    settings = scales[chosen]
    if experiment is None:
        return _text(settings.model_dump())
    if experiment not in settings.experiments:
        known = list(settings.experiments)
        close = difflib.get_close_matches(experiment, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}"
        raise UserError(f"scale {chosen} has no experiment {experiment!r}; {hint}")
    own = settings.experiments[experiment]
    rows = {name: settings.played(experiment, name) for name in own.rows}
    return _text(
        {
            "scale": chosen,
            "seeds": settings.seeds,
            "experiment": {experiment: own.model_dump()},
            "dataset": {own.dataset: settings.datasets[own.dataset].model_dump()},
            "rows": {name: {"method": m, "settings": values} for name, (m, values) in rows.items()},
        }
    )


class _Whole(yaml.SafeDumper):
    """Writes a value that stands in two places twice: readers should not meet anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(content: dict[str, Any]) -> str:
    return yaml.dump(content, Dumper=_Whole, sort_keys=False, allow_unicode=True, width=100)
