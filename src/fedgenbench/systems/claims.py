"""The claims of all systems, read and judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedgenbench.report.claims import Evidence, PaperClaim, judge, load_claims
from fedgenbench.systems.base import files

if TYPE_CHECKING:
    from fedgenbench.report.results import Results
    from fedgenbench.report.verdicts import Claim


def stated() -> dict[str, list[PaperClaim]]:
    """What each system's claims.yaml says, by system; raises UserError with the file and the claim."""
    return {system: load_claims(path) for system, path in files("claims.yaml").items()}


def judged(results: Results) -> dict[str, list[Claim]]:
    """The claims of each system with verdict and evidence."""
    evidence = Evidence(results, results.main_newcomers)
    return {system: judge(claims, evidence) for system, claims in stated().items()}
