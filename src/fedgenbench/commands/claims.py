"""The papers' claims with the verdicts of the collected runs, for a terminal."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedgenbench.commands.plan import asked
from fedgenbench.core.errors import UserError

if TYPE_CHECKING:
    from fedgenbench.report.verdicts import Claim


def judged(scale: str | None) -> tuple[Mapping[str, Sequence[Claim]], str]:
    """The judged claims by system, and a remark where the runs are of earlier settings or code.

    Raises:
        UserError: nothing was collected at this scale.
    """
    from fedgenbench.systems import claims
    from fedgenbench.systems.collected import read_results

    grid = asked(scale, {})
    folder = Path("results", grid.settings.scale)
    current = folder / f"collected-{grid.product_digest('collect')}"
    contexts = sorted(
        folder.glob("collected-*/context.json"), key=lambda path: path.stat().st_mtime_ns
    )
    remark = ""
    if not (current / "context.json").is_file():
        if not contexts:
            raise UserError(
                f"{folder} has no collected runs to judge from: `snakemake {grid.settings.scale}` makes "
                "them, `fedgenbench restore` brings recorded ones; verdicts of the last report stand in "
                f"{folder}/report"
            )
        current = contexts[-1].parent
        remark = (
            f"{current} is of other settings or code than those here; "
            f"`snakemake {grid.settings.scale}` collects anew"
        )
    return claims.judged(read_results(current)), remark


def shown(claims: Mapping[str, Sequence[Claim]], evidence: bool) -> str:
    """A paragraph a claim, with its verdict first, and their counts."""
    lines = []
    counts = Counter(claim.verdict for group in claims.values() for claim in group)
    for system, group in claims.items():
        lines += [system, ""]
        for claim in group:
            lines += _wrapped(f"{claim.verdict:<20}", f"{claim.id}: {claim.text}")
            if evidence:
                lines += _wrapped(" " * 20, claim.evidence)
        lines.append("")
    total = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
    return "\n".join([*lines, f"{sum(counts.values())} claims: {total}"])


def _wrapped(first: str, text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent=first, subsequent_indent=" " * 20)
