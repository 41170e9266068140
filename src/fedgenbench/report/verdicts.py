"""The verdicts on claims, by rules that are the same for all of them (docs/claims.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fedgenbench.core.errors import UserError
from fedgenbench.core.scales import SCALES
from fedgenbench.report.claims import PaperClaim
from fedgenbench.report.learning import steep_sentences
from fedgenbench.report.measuring import Difference
from fedgenbench.report.power import MOST_SEEDS, holm
from fedgenbench.report.results import Results, distinct
from fedgenbench.report.statistics import SEEDS, Interval
from fedgenbench.report.words import typeset

# Verdict -> tone of its cell; the order is that of the tally.
VERDICTS = {
    "supported": "good",
    "contradicted": "bad",
    "no effect": "mute",
    "undecided": "open",
    "not testable here": "mute",
}


@dataclass(frozen=True)
class Judgement:
    """The numbers behind a verdict.

    bound, unit: what each comparison has to lie above.
    comparisons: words and interval of those with seeds enough; ``decisive`` is the one that decided.
    seeds: that would decide it at this mean and spread; None where it is decided or too many.
    missing: what is not there, in words.
    """

    bound: float
    unit: str
    comparisons: tuple[tuple[str, Interval], ...] = ()
    decisive: Interval | None = None
    seeds: int | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """What a paper says can be seen, and the verdict (a key of ``VERDICTS``) of the runs.

    short: the claim in about ten words. scale: the smallest at which it is decidable.
    published: lowest and highest effect that the paper prints, in the unit of ``judgement``.
    """

    id: str
    text: str
    source: str
    verdict: str
    evidence: str
    short: str = ""
    scale: str = ""
    published: tuple[float, float] | None = None
    judgement: Judgement = field(default_factory=lambda: Judgement(0.0, ""))

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
        judgement = Judgement(entry.test.bound, claim.measure.unit)
    else:
        verdict, sentences, judgement = _verdict(claim, results)
    if entry.published_size:
        sentences.append(f"In the paper: {entry.published_size}.")
    sentences.append(f"Scale: {' and '.join(scales) or 'no run'}.")
    if verdict == "contradicted":
        sentences += [f"Tried: {sentence}" for sentence in entry.tried]
    source = f"{entry.source} ({entry.status})"
    return Claim(
        *(entry.id, entry.text, source, verdict, " ".join(sentences), entry.short, entry.scale),
        published=(entry.published_range[0], entry.published_range[1])
        if entry.published_range
        else None,
        judgement=judgement,
    )


@dataclass(frozen=True)
class _Comparison:
    """A difference with its interval; whether it lies below the bound or is no effect, by Holm's rule.

    level: the error that the first of these tests may make here.
    """

    difference: Difference
    interval: Interval
    below: bool
    negligible: bool
    level: float


def _verdict(claim: PaperClaim, results: Results) -> tuple[str, list[str], Judgement]:
    """The verdict on a conjunction: every difference lies above the bound of the test.

    All have to, so each is tested at the full level for "supported". One that lies below, or that is
    no effect, is enough against it, so there all are tested together.
    """
    measured, test, unit = claim.measured(results), claim.entry.test, claim.measure.unit
    missing = (
        [f"Missing: {'; '.join(dict.fromkeys(measured.missing))}."] if measured.missing else []
    )
    nothing = Judgement(test.bound, unit, missing=tuple(measured.missing))
    if not measured.differences:
        return "not testable here", missing, nothing
    total = len(measured.differences)
    able = [difference for difference in measured.differences if len(difference.seeds) >= SEEDS]
    if len(able) < total:
        few = f"{total - len(able)} of {total} comparisons have" if total > 1 else "It has"
        missing.append(f"{few} fewer than {SEEDS} common seeds.")
    if not able:
        return "undecided", missing, nothing
    compared = _compared(able, test.bound, test.smallest, results.confidence)
    above = sum(_low(each.interval) > test.bound for each in compared)
    against = [each for each in compared if each.below and not each.negligible]
    against = against or [each for each in compared if each.negligible]
    closest = min(compared, key=lambda each: _low(each.interval))
    titles = list(dict.fromkeys(title for difference in able for title in difference.titles))
    learning = []
    if above == total and not measured.missing:
        verdict, decisive = "supported", closest
    elif against:
        decisive = min(against, key=lambda each: (each.level, each.interval.mean))
        verdict = "no effect" if decisive.negligible else "contradicted"
        if claim.measure.learnt:
            learning = steep_sentences(results, decisive.difference.titles)
        if verdict == "contradicted" and learning:
            verdict = "undecided"
            learning.insert(0, "It would be contradicted, had methods learnt more:")
    else:
        verdict, decisive = "undecided", closest
    seeds = None
    if verdict == "undecided" and above < total and not learning:
        seeds = _needed(compared, claim, 1 - results.confidence)
        learning = [_seeds_said(seeds)]
    sentences = [
        _decisive(decisive, results, unit, verdict),
        f"{_share(above, total)} above the {_number(test.bound)} {unit} asked (on {'; '.join(titles)}).",
        *_of_size(verdict, decisive, test.smallest, unit),
        *(["The part that was run holds."] if above == total and verdict == "undecided" else []),
        *learning,
        *measured.notes,
        *missing,
    ]
    judgement = replace(
        nothing,
        comparisons=tuple((each.difference.words, each.interval) for each in compared),
        decisive=decisive.interval,
        seeds=seeds,
    )
    return verdict, sentences, judgement


def _compared(
    differences: Sequence[Difference], bound: float, smallest: float | None, confidence: float
) -> list[_Comparison]:
    """All differences, tested together."""
    level = 1 - confidence
    fallen, levels = holm([each.p_value(bound) for each in differences], level)
    same = [each.p_value_of_none(smallest) if smallest else 1.0 for each in differences]
    negligible, _ = holm(same, level)
    return [
        _Comparison(
            each,
            interval := each.interval(confidence),
            below=differs and interval.mean < bound,
            negligible=none,
            level=own,
        )
        for each, differs, none, own in zip(differences, fallen, negligible, levels, strict=True)
    ]


def _decisive(each: _Comparison, results: Results, unit: str, verdict: str) -> str:
    """The numbers of the comparison that decided."""
    words, plain, seeds = each.difference.words, each.interval, each.difference.seeds
    level = f"{results.level} interval over seeds {', '.join(map(str, seeds))}"
    count = round((1 - results.confidence) / each.level)
    if count > 1 and verdict != "supported":
        corrected = each.difference.interval(1 - each.level)
        level += f"; ± {_number(corrected.half)} corrected for {count} comparisons"
    if together := each.difference.over_images(results.confidence):
        level += f"; ± {_number(together.half)} over seeds and test images together"
    return f"Decisive: {words} = {_number(plain.mean)} ± {_number(plain.half)} {unit} ({level})."


def _of_size(verdict: str, each: _Comparison, smallest: float | None, unit: str) -> list[str]:
    """What the smallest effect of interest says of the comparison that decided."""
    if not each.negligible:
        return []
    if verdict == "supported":
        return [f"It is there, but below {_number(smallest)} {unit}, the smallest of interest."]
    return [f"It is below {_number(smallest)} {unit} either way, the smallest effect of interest."]


def _needed(compared: Sequence[_Comparison], claim: PaperClaim, level: float) -> int | None:
    """How many seeds would decide, were the means and spreads of these seeds the true ones.

    The least of what would support the claim, contradict it, or show no effect; None: too many.
    """
    bound, smallest = claim.entry.test.bound, claim.entry.test.smallest
    counts = []
    if all(each.interval.mean > bound for each in compared):
        support = [each.difference.seeds_needed(bound, level) for each in compared]
        counts.append(None if None in support else max(filter(None, support)))
    for each in compared:
        if each.interval.mean < bound:
            counts.append(each.difference.seeds_needed(bound, each.level))
        if smallest and abs(each.interval.mean) < smallest:
            counts.append(each.difference.seeds_needed(smallest, each.level, inside=True))
    return min((count for count in counts if count is not None), default=None)


def _seeds_said(seeds: int | None) -> str:
    if seeds is None:
        return f"More than {MOST_SEEDS} seeds would be needed to decide it at this mean and spread."
    return f"About {seeds} seeds would decide it at this mean and spread."


def _share(above: int, total: int) -> str:
    """How many of the intervals lie above, in words."""
    if total == 1:
        return "The interval lies" if above else "The interval does not lie"
    return f"{above} of {total} intervals {'lies' if above == 1 else 'lie'}"


def _low(interval: Interval) -> float:
    assert interval.low is not None  # it is of ``SEEDS`` seeds or more
    return interval.low


def _number(value: float | None) -> str:
    assert value is not None  # of ``SEEDS`` seeds or more
    return typeset(value, "z.1f")
