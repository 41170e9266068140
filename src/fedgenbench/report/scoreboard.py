"""Claims on a page: the compact scoreboard, plots of their effects, and what would decide the rest."""

from __future__ import annotations

from collections.abc import Sequence

from fedgenbench.report.answers import SYMBOLS
from fedgenbench.report.forest import Effect, Forest
from fedgenbench.report.power import MOST_SEEDS
from fedgenbench.report.section import Section
from fedgenbench.report.statistics import SEEDS
from fedgenbench.report.tables import Cell, Column, Row, Table
from fedgenbench.report.verdicts import VERDICTS, Claim


def address(section: Section, claim: Claim | None = None) -> str:
    """Of the page of a paper's section, or of a claim's own part on it, from any page."""
    return f"{section.name}.html" + (f"#claim-{claim.id}" if claim else "")


def scoreboard(papers: Sequence[Section]) -> Section | None:
    """All claims, a line each; None without any."""
    rows = [
        Row(
            claim.id,
            claim.short or claim.text,
            _cells(claim),
            section.title.partition(":")[0],
            link=address(section, claim),
        )
        for section in papers
        for claim in section.claims
    ]
    if not rows:
        return None
    table = Table(
        "claims",
        "What the papers claim, and what these runs show",
        (
            Column("Verdict"),
            Column("Effect here", unit=""),
            Column("Published", unit=""),
            Column("Unit"),
            Column("Seeds", unit=""),
            Column("To decide it"),
        ),
        tuple(rows),
        (
            "Effect: of all comparisons of a claim the one that decides it, with its interval over "
            "seeds; its page has them all. Undecided: the interval reaches what it would have to leave "
            "out, or a part is missing. To decide it: seeds at which an effect of this size and spread "
            "would.",
        ),
        "Claim",
    )
    return Section("Scoreboard of claims", tables=[table])


def claim_effects(section: Section, page: str = "") -> Forest:
    """The decisive effects of a paper's claims; ``page``: of the section's own, for links to it."""
    return Forest(
        f"claims-{section.name}",
        "Decisive effect of each claim. Dashed: what it has to exceed.",
        [
            Effect(
                claim.short or claim.text,
                claim.judgement.decisive,
                claim.judgement.unit,
                claim.judgement.bound,
                claim.published,
                VERDICTS[claim.verdict],
                SYMBOLS[VERDICTS[claim.verdict]],
                f"{page}#claim-{claim.id}",
            )
            for claim in section.claims
            if claim.judgement.decisive
        ],
    )


def comparisons(claim: Claim) -> Forest:
    """All comparisons of a claim."""
    return Forest(
        f"comparisons-{claim.id}",
        "All comparisons of this claim",
        [
            Effect(
                words,
                interval,
                claim.judgement.unit,
                claim.judgement.bound,
                claim.published,
            )
            for words, interval in claim.judgement.comparisons
        ],
    )


def _cells(claim: Claim) -> tuple[Cell, ...]:
    tone = VERDICTS[claim.verdict]
    judgement, interval = claim.judgement, claim.judgement.decisive
    effect = Effect("", interval, published=claim.published)
    return (
        Cell(f"{SYMBOLS[tone]} {claim.verdict}", tone=tone),
        Cell(effect.text, interval=interval),
        Cell(effect.published_text or "–"),
        Cell(judgement.unit),
        Cell(str(interval.n) if interval else "–"),
        Cell(to_decide(claim)),
    )


def to_decide(claim: Claim) -> str:
    """What an open claim waits for, in a few words; empty where it is decided."""
    judgement, decisive = claim.judgement, claim.judgement.decisive
    if claim.verdict not in ("undecided", "not testable here"):
        return ""
    waits = []
    if claim.verdict == "not testable here" and not judgement.missing:
        waits.append(f"{claim.scale} scale")
    elif judgement.seeds:
        waits.append(f"about {judgement.seeds} seeds")
    elif decisive and not judgement.missing:
        waits.append(f"more than {MOST_SEEDS} seeds, or more training")
    if judgement.missing:
        more = len(set(judgement.missing)) - 1
        waits.append(judgement.missing[0] + (f" and {more} more" if more else ""))
    return "; ".join(waits) or f"at least {SEEDS} seeds"
