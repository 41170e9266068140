"""The verdicts on claims, by rules that are the same for all of them (docs/claims.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedgenbench.core.errors import UserError
from fedgenbench.core.scales import SCALES
from fedgenbench.report.claims import PaperClaim
from fedgenbench.report.results import Results, distinct
from fedgenbench.report.statistics import SEEDS, Interval

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


def judge(claims: Sequence[PaperClaim], results: Results) -> list[Claim]:
    """The claims with verdict and evidence, in their order."""
    return [_judged(claim, results) for claim in claims]


def _judged(claim: PaperClaim, results: Results) -> Claim:
    entry = claim.entry
    scales = distinct(results.main_runs.runs, "scale")
    if any(SCALES.index(scale) < SCALES.index(entry.scale) for scale in scales):
        verdict, sentences = "not testable here", [f"Decidable from {entry.scale} scale on."]
    else:
        verdict, sentences = _verdict(claim, results)
    sentences.append(f"Scale: {' and '.join(scales) or 'no run'}.")
    if verdict == "contradicted":
        sentences += [f"Tried: {sentence}" for sentence in entry.tried]
    source = f"{entry.source} ({entry.status})"
    return Claim(entry.id, entry.text, source, verdict, " ".join(sentences))


def _verdict(claim: PaperClaim, results: Results) -> tuple[str, list[str]]:
    """The verdict on a conjunction: every difference lies above the bound of the test.

    All have to, so each is tested at the full level for "supported". One that lies below is enough
    for "contradicted", so there the level is Bonferroni's over all of them.
    """
    measured, bound, unit = claim.measured(results), claim.entry.test.bound, claim.measure.unit
    missing = (
        [f"Missing: {'; '.join(dict.fromkeys(measured.missing))}."] if measured.missing else []
    )
    if not measured.differences:
        return "not testable here", missing
    total = len(measured.differences)
    able = [difference for difference in measured.differences if len(difference.seeds) >= SEEDS]
    if len(able) < total:
        few = f"{total - len(able)} of {total} comparisons have" if total > 1 else "It has"
        missing.append(f"{few} fewer than {SEEDS} common seeds.")
    if not able:
        return "undecided", missing
    strict = 1 - (1 - results.confidence) / len(able)
    # (what is compared, its interval, its interval corrected for the number of comparisons)
    judged = [(d, d.interval(results.confidence), d.interval(strict)) for d in able]
    above = sum(_ends(plain)[0] > bound for _, plain, _ in judged)
    closest = min(judged, key=lambda each: _ends(each[1])[0])
    worst = min(judged, key=lambda each: _ends(each[2])[1])
    if _ends(worst[2])[1] < bound:
        verdict, (decisive, plain, corrected) = "contradicted", worst
    elif above == total and not measured.missing:
        verdict, (decisive, plain, corrected) = "supported", closest
    else:
        verdict, (decisive, plain, corrected) = "undecided", closest
    titles = dict.fromkeys(title for difference in able for title in difference.titles)
    level = f"{results.level} interval over seeds {', '.join(map(str, decisive.seeds))}"
    if len(able) > 1 and verdict != "supported":
        level += f"; ± {_number(corrected.half)} corrected for {len(able)} comparisons"
    return verdict, [
        f"Decisive: {decisive.words} = {_number(plain.mean)} ± {_number(plain.half)} {unit} ({level}).",
        f"{_share(above, total)} above the {_number(bound)} {unit} asked (on {'; '.join(titles)}).",
        *(["The part that was run holds."] if above == total and verdict == "undecided" else []),
        *measured.notes,
        *missing,
    ]


def _share(above: int, total: int) -> str:
    """How many of the intervals lie above, in words."""
    if total == 1:
        return "The interval lies" if above else "The interval does not lie"
    return f"{above} of {total} intervals {'lies' if above == 1 else 'lie'}"


def _ends(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None  # it is of ``SEEDS`` seeds or more
    assert interval.high is not None
    return interval.low, interval.high


def _number(value: float | None) -> str:
    """One decimal, with a true minus and no minus zero."""
    assert value is not None  # of ``SEEDS`` seeds or more
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "−")
