"""What stands in the scoreboard: claims with their verdicts."""

from dataclasses import dataclass

from fedgenbench.core.errors import UserError

# Verdict -> tone of its cell; the order is that of the tally.
VERDICTS = {
    "supported": "good",
    "contradicted": "bad",
    "undecided": "open",
    "not testable here": "mute",
}


@dataclass(frozen=True)
class Claim:
    """What a paper says can be seen, and the verdict (a key of ``VERDICTS``) of the runs."""

    id: str
    text: str
    source: str
    verdict: str
    evidence: str

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise UserError(
                f"claim {self.id} has the verdict {self.verdict!r}: use one of {', '.join(VERDICTS)}"
            )
