"""Claims as a claims.yaml states them, one at a time."""

from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from fedgenbench.report.claims import PaperClaim, load_claims
from fedgenbench.report.measuring import measures_of


def above(measure: str, bound: float = 0.0, **of: Any) -> dict[str, Any]:
    """A test of the shape that most have."""
    return {"shape": "above", "bound": bound, "measure": measure, "of": of}


def of(test: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """``test`` with other arguments of its measure."""
    return test | {"of": test["of"] | changes}


def claim(folder: Path, measures: ModuleType, test: Any, **changes: Any) -> PaperClaim:
    """The one claim of a file in ``folder``, read back."""
    entry = {
        "id": "c",
        "text": "It is so.",
        "short": "So.",
        "source": "sheet §8",
        "status": "published",
    }
    path = folder / "claims.yaml"
    path.write_text(yaml.safe_dump([entry | {"scale": "embedded", "test": test} | changes]))
    (only,) = load_claims(path, measures_of(measures))
    return only
