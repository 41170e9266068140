"""The claims of all systems, read and judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedgenbench.report.claims import PaperClaim, load_claims
from fedgenbench.report.measuring import measures_of
from fedgenbench.systems.base import files, parts

if TYPE_CHECKING:
    from fedgenbench.report.results import Results
    from fedgenbench.report.verdicts import Claim


def stated() -> dict[str, list[PaperClaim]]:
    """What each system's claims.yaml says, by system; raises UserError with the file and the claim."""
    measures = {system: measures_of(module) for system, module in parts("measures")}
    return {
        system: load_claims(path, measures.get(system, {}))
        for system, path in files("claims.yaml").items()
    }


def judged(results: Results) -> dict[str, list[Claim]]:
    """The claims of each system with verdict and evidence."""
    from fedgenbench.report.verdicts import judge

    return {system: judge(claims, results) for system, claims in stated().items()}
