"""What papers say can be seen: the entries of a ``claims.yaml``, each with a test of one of three shapes.

``above``: every difference lies above a bound. ``within``: every value lies near a target. ``growth``:
every difference grows from one end of an axis to the other. docs/claims.md has the rules. Loads nothing
heavy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from fedgenbench.core.errors import UserError
from fedgenbench.core.reading import read_yaml
from fedgenbench.core.scales import Scale
from fedgenbench.core.settings import Strict
from fedgenbench.core.wording import unknown
from fedgenbench.report.measuring import Difference, Measure, Measured
from fedgenbench.report.published import checked

if TYPE_CHECKING:
    from fedgenbench.report.results import Results

Positive = Annotated[FiniteFloat, Field(gt=0)]


class _Shape(Strict):
    """A test: what is measured, by its name, and ``of`` what."""

    measure: str
    of: dict[str, Any] = Field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the measure is asked for; its own type checks them."""
        return self.of


class Above(_Shape):
    """Every difference lies above ``bound``, negative for a tolerance.

    smallest: the smallest effect of interest, in the measure's unit. A difference that is shown to be
    smaller is no effect. With a bound that is itself a tolerance there is none.
    """

    shape: Literal["above"]
    bound: FiniteFloat
    smallest: Positive | None = None

    @model_validator(mode="after")
    def _one_tolerance(self) -> Self:
        if self.smallest is not None and self.bound:
            raise ValueError(
                "smallest is about differences from zero: make bound 0 or leave it out"
            )
        return self

    def measured(self, results: Results, measure: Measure, arguments: Strict) -> Measured:
        return measure(results, arguments)


class Within(_Shape):
    """Every value is within ``tolerance`` of ``target``."""

    shape: Literal["within"]
    target: FiniteFloat
    tolerance: Positive

    @property
    def bound(self) -> float:
        return 0.0

    @property
    def smallest(self) -> None:
        """The tolerance says it."""

    def measured(self, results: Results, measure: Measure, arguments: Strict) -> Measured:
        """What is left of the tolerance, as differences."""
        import pandas as pd

        measured = measure(results, arguments)
        for title, values in measured.values.items():
            what = (
                f"{self.tolerance:g} {measure.unit} − the distance of {values.mean():.3f} "
                f"{measure.unit} from {self.target:g} {measure.unit}"
            )
            left = pd.Series(self.tolerance, values.index), (values - self.target).abs()
            measured.differences.append(Difference(what, (title,), *left))
        return measured


class Growth(_Shape):
    """Every difference grows along an axis: with the number of clients, or as the model gets smaller.

    sizes: data set -> client model -> weights. Two experiments are compared that differ in the
    clients, or in the model, alone: those at the ends of what was run. The measure is asked for each
    of these data sets. smallest: as of ``Above``.
    """

    shape: Literal["growth"]
    axis: Literal["clients", "model"]
    smallest: Positive | None = None
    sizes: Annotated[dict[str, dict[str, Annotated[int, Field(ge=1)]]], Field(min_length=1)]

    @property
    def bound(self) -> float:
        return 0.0

    @property
    def arguments(self) -> dict[str, Any]:
        return self.of | {"datasets": list(self.sizes)}

    def measured(self, results: Results, measure: Measure, arguments: Strict) -> Measured:
        """The growth of each difference, as differences."""
        all_measured = Measured()
        for dataset, sizes in self.sizes.items():
            measured = measure(results, arguments.model_copy(update={"datasets": [dataset]}))
            all_measured.missing += measured.missing
            by_place: dict[str, dict[str, Difference]] = {}
            for each in measured.differences:
                by_place.setdefault(each.experiment, {})[each.what] = each
            if not by_place:
                continue
            entries = {name: results.experiments[name] for name in by_place}
            if self.axis == "clients":
                places = {name: entry["clients"] for name, entry in entries.items()}
            else:  # the smaller the further along
                known = {name: sizes.get(entry["model"]) for name, entry in entries.items()}
                places = {name: -size for name, size in known.items() if size}
            pairs = list(_ends(self.axis, places, entries))
            if not pairs:
                all_measured.missing.append(
                    f"two experiments on {dataset} that differ in the {self.axis} alone"
                )
            for pair in pairs:
                here, there = (f"{entries[n]['title']} ({entries[n]['model']})" for n in pair)
                few, many = (by_place[name] for name in pair)
                all_measured.differences += _grown(few, many, (here, there))
        return all_measured


def _grown(
    here: Mapping[str, Difference], there: Mapping[str, Difference], titles: tuple[str, str]
) -> Iterator[Difference]:
    """By how much each difference of both places is larger at the second one."""
    for what, first in here.items():
        if what in there:
            yield Difference(
                f"growth of {what} from {titles[0]} to {titles[1]}",
                titles,
                there[what].ahead - there[what].behind,
                first.ahead - first.behind,
                first.factor,
            )


def _ends(
    axis: str, places: Mapping[str, int], entries: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Pairs (lowest, highest place) of experiments that are alike but for ``axis``."""
    alike = defaultdict(list)
    for name in places:
        setup = [k for k in ("partition", "model", "clients", "rounds", "local") if k != axis]
        alike[tuple(entries[name][key] for key in setup)].append(name)
    for names in alike.values():
        low, high = min(places[n] for n in names), max(places[n] for n in names)
        if low < high:
            yield from product(
                [n for n in names if places[n] == low], [n for n in names if places[n] == high]
            )


class Entry(Strict):
    """An entry of claims.yaml.

    short: the claim in about ten words, for the scoreboard. scale: the smallest at which it is
    decidable. published_size: how large the paper has the effect, and where, in words; None where that
    is not known. published_range: its lowest and highest size, in the measure's unit.
    """

    id: str
    text: str
    short: Annotated[str, Field(max_length=70)]
    source: str
    status: Literal["published", "second-hand"]
    scale: Scale
    test: Annotated[Above | Within | Growth, Field(discriminator="shape")]
    published_size: str | None = None
    published_range: Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)] | None = None
    tried: list[str] = Field(default_factory=list)


@dataclass(frozen=True)
class PaperClaim:
    """An entry whose measure is known and whose arguments fit it."""

    entry: Entry
    measure: Measure
    arguments: Strict

    def measured(self, results: Results) -> Measured:
        """What the runs hold of it."""
        return self.entry.test.measured(results, self.measure, self.arguments)


def load_claims(path: str | Path, measures: Mapping[str, Measure]) -> list[PaperClaim]:
    """The claims of a paper's claims.yaml, which may call ``measures``.

    Raises:
        UserError: names the file, the claim and each faulty key, with the way out.
    """
    raw = read_yaml(path)
    if not isinstance(raw, list):
        raise UserError(f"{path} must be a list of claims; see docs/claims.md")
    claims: list[PaperClaim] = []
    for number, content in enumerate(raw, start=1):
        known = isinstance(content, dict) and "id" in content
        where = f"{path}: claim {content['id'] if known else f'number {number}'}"
        claims.append(_bound(checked(Entry, content, where), measures, where))
        if claims[-1].entry.id in [claim.entry.id for claim in claims[:-1]]:
            raise UserError(f"{where} stands twice: give each its own id")
    return claims


def _bound(entry: Entry, measures: Mapping[str, Measure], where: str) -> PaperClaim:
    """An entry with its measure and the arguments that fit it."""
    if entry.test.measure not in measures:
        raise UserError(f"{where}: test.measure: {unknown(entry.test.measure, list(measures))}")
    measure = measures[entry.test.measure]
    arguments = checked(measure.arguments, entry.test.arguments, where, below="test.of")
    return PaperClaim(entry, measure, arguments)
