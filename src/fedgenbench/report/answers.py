"""The answer that a paper's runs give to its question, in two sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedgenbench.core.wording import counted
from fedgenbench.report.statistics import Interval
from fedgenbench.report.words import signed, verdict

# Answer -> tone of its word.
ANSWERS = {"yes": "good", "no": "bad", "not decided": "open", "not run here": "mute"}
# Beside a colour, for whoever sees none.
SYMBOLS = {"good": "✔", "bad": "✘", "open": "?", "mute": "–", "": ""}


@dataclass(frozen=True)
class Answer:
    """A question, the answer (a key of ``ANSWERS``) and the sentences that carry it."""

    question: str
    answer: str
    text: str

    @property
    def tone(self) -> str:
        return ANSWERS[self.answer]

    @property
    def symbol(self) -> str:
        return SYMBOLS[self.tone]


def answer_of(differences: Mapping[str, Interval | None]) -> str:
    """By place: "yes" where all are above 0, "no" where one is below and none above."""
    shown = {verdict(interval) for interval in differences.values() if interval is not None}
    if not shown:
        return "not run here"
    if shown == {"higher"}:
        return "yes"
    return "no" if "lower" in shown and "higher" not in shown else "not decided"


def in_order(differences: Mapping[str, Interval | None]) -> str:
    """Such as ``+2.1 ± 9.9 and −0.3 ± 1.0 points``, in the order of places that were named before."""
    shown = [signed(interval) for interval in differences.values() if interval is not None]
    return f"{' and '.join(shown)} points"


def by_place(differences: Mapping[str, Interval | None]) -> str:
    """Such as ``+16.6 ± 17.3 points (EmojiDomains, 6 clients; 3 seeds)``, all places after each other."""
    return ", ".join(
        f"{signed(interval)} points ({title}; {counted(interval.n, 'seed')})"
        for title, interval in differences.items()
        if interval is not None
    )
