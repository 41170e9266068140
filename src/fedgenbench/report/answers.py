"""The answer that a paper's runs give to its question, in two sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fedgenbench.core.wording import counted
from fedgenbench.report.statistics import Interval
from fedgenbench.report.words import signed, verdict

# Title of an experiment, a place -> an effect there.
Differences = Mapping[str, Interval | None]
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

    @classmethod
    def of(
        cls,
        question: str,
        carrying: Differences,
        first: str,
        beside: Iterable[tuple[str, Differences]],
        lead: str = "",
    ) -> Answer:
        """The answer of the differences ``carrying`` it.

        ``first`` is the sentence on them, ``beside`` what the second one says at the same places after
        its ``lead``, with the differences: each has {} where their numbers go.
        """
        if (answer := answer_of(carrying)) == "not run here":
            return cls(question, answer, "No run of it stands beside its baseline.")
        named = _run(carrying)
        same = [
            (words, {place: each for place, each in _run(differences).items() if place in named})
            for words, differences in beside
        ]
        parts = [
            words.format(in_order(known) if known.keys() == named.keys() else by_place(known))
            for words, known in same
            if known
        ]
        second = f" {lead}{' and '.join(parts)}." if parts else ""
        return cls(question, answer, first.format(by_place(carrying)) + second)

    @property
    def tone(self) -> str:
        return ANSWERS[self.answer]

    @property
    def symbol(self) -> str:
        return SYMBOLS[self.tone]


def _run(differences: Differences) -> dict[str, Interval]:
    return {place: each for place, each in differences.items() if each is not None}


def answer_of(differences: Differences) -> str:
    """By place: "yes" where all are above 0, "no" where one is below and none above."""
    shown = {verdict(interval) for interval in _run(differences).values()}
    if not shown:
        return "not run here"
    if shown == {"higher"}:
        return "yes"
    return "no" if "lower" in shown and "higher" not in shown else "not decided"


def in_order(differences: Differences) -> str:
    """Such as ``+2.1 ± 9.9 and −0.3 ± 1.0 points``, in the order of places that were named before."""
    return f"{' and '.join(map(signed, _run(differences).values()))} points"


def by_place(differences: Differences) -> str:
    """Such as ``+16.6 ± 17.3 points (EmojiDomains, 6 clients; 3 seeds)``, all places after each other."""
    return ", ".join(
        f"{signed(interval)} points ({title}; {counted(interval.n, 'seed')})"
        for title, interval in _run(differences).items()
    )
