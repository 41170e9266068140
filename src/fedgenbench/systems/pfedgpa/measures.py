"""What pFedGPA's claims are judged from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from fedgenbench.core.errors import UserError
from fedgenbench.core.settings import Strict
from fedgenbench.core.wording import counted
from fedgenbench.report.measuring import Difference, Measured, measure
from fedgenbench.report.published import Names
from fedgenbench.systems.comparisons import Compared, MethodName, label, scored
from fedgenbench.systems.pfedgpa.study_settings import ARMS

if TYPE_CHECKING:
    import pandas as pd

    from fedgenbench.report.results import Results

if TYPE_CHECKING:
    Arm = str
else:  # a literal is spelt out where it is checked by type
    Arm = Literal[tuple(ARMS)]


class Accuracy(Compared):
    """On ``datasets`` (titles), and on ``optional`` ones that were run; ``clients`` null: in every
    experiment on them."""

    datasets: Names
    optional: list[str] = Field(default_factory=list)
    clients: Annotated[int, Field(ge=1)] | None = None


@measure(Accuracy, unit="points")
def accuracy(results: Results, of: Accuracy) -> Measured:
    """Personalised accuracy after the last round, of the method less each baseline's."""
    from fedgenbench.systems.pfedgpa.numbers import of_all_sizes

    results, measured = of_all_sizes(results), Measured()
    personal = partial(results.by_seed, metric="personal")
    there = {entry["dataset"] for entry in results.experiments.values()}
    absent = [dataset for dataset in of.optional if dataset not in there]
    if absent:
        measured.notes.append(f"Not run here: {', '.join(absent)}.")
    for dataset in (*of.datasets, *(each for each in of.optional if each in there)):
        tables = scored(results, of, measured, personal, only=_only(dataset, of.clients))
        for name, table in tables.items():
            measured.differences += of.differences(results, name, table, model="personal")
    return measured


def _only(dataset: str, clients: int | None) -> dict[str, Any]:
    return {"dataset": dataset} | ({"clients": clients} if clients else {})


class Rounds(Compared):
    """On ``datasets``; the target is the final accuracy of ``reference`` in the same seed. ``clients``
    as of ``Accuracy``."""

    datasets: Names
    reference: MethodName
    clients: Annotated[int, Field(ge=1)] | None = None


@measure(Rounds, unit="rounds")
def rounds_to_accuracy(results: Results, of: Rounds) -> Measured:
    """Rounds to the target, of each baseline less the method's.

    The target looks at no result of the method. Nothing is interpolated: the first evaluated round
    at or above it counts, and one more than all rounds where there is none.
    """
    from fedgenbench.systems.pfedgpa.numbers import rounds_to_reach

    results, measured = results.main_runs, Measured()
    reference, method = label(results, of.reference), label(results, of.method)
    personal = partial(results.by_seed, metric="personal")
    for dataset in of.datasets:
        only = _only(dataset, of.clients)
        for name, table in scored(results, of, measured, personal, only=only).items():
            title = results.experiments[name]["title"]
            if of.reference not in table:
                measured.missing.append(f"the target, set by {reference}, on {title}")
                continue
            counts, step = rounds_to_reach(results, name, table[of.reference].dropna())
            counts = counts.reindex(columns=table.columns)
            measured.differences += [
                Difference(
                    f"rounds of {label(results, baseline)} − {method}",
                    (title,),
                    counts[baseline],
                    counts[of.method],
                    # A count is known to one evaluation, and so is a difference of two.
                    slack=step,
                )
                for baseline in of.baselines
                if baseline in table
            ]
            ours = counts[of.method].dropna()
            arrived = int((ours <= results.experiments[name]["rounds"]).sum())
            measured.notes.append(
                f"{method} reached the final accuracy of {reference} in {arrived} of {len(ours)} seeds "
                f"({title}; intervals widened by the {counted(step, 'round')} between evaluations)."
            )
    return measured


class NewClients(Strict):
    """An arm against others, in the local rounds 1 to ``rounds``."""

    arm: Arm
    against: Annotated[list[Arm], Field(min_length=1)]
    rounds: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.arm in self.against or len(set(self.against)) < len(self.against):
            raise ValueError("arm and against name one twice")
        return self


@measure(NewClients, unit="points")
def accuracy_of_new_clients(results: Results, of: NewClients) -> Measured:
    """Mean accuracy of new clients over the local rounds, of the arm less each other one's."""
    measured = Measured()
    for entry, table in _local_rounds(results, of.rounds):
        for other in of.against:
            pair = f"{ARMS[of.arm]} − {ARMS[other]}"
            # Rounds that only one of the two has would favour the one that has the later ones.
            both = table.reindex(columns=[of.arm, other]).dropna()
            if both.empty:
                measured.missing.append(f"new clients for {pair} on {entry['title']}")
                continue
            means = both.groupby("seed").mean()
            last = both.index.get_level_values("round").max()
            what = f"{pair}, mean of the new clients' local rounds up to {last}"
            measured.differences.append(
                Difference(what, (entry["title"],), means[of.arm], means[other])
            )
    if not measured.differences and not measured.missing:
        measured.missing.append("runs with new clients")
    return measured


def _local_rounds(
    results: Results, rounds: int
) -> Iterator[tuple[Mapping[str, Any], pd.DataFrame]]:
    """An experiment's entry, and its accuracies in per cent: (seed, round) by arms."""

    from fedgenbench.systems.pfedgpa.numbers import trained_newcomers

    frame = trained_newcomers(results)
    again = "run the collect rule again"
    if unknown := sorted(set(frame["arm"]) - set(ARMS)):
        arms = f"{counted(len(unknown), 'unknown arm')}, {', '.join(unknown)}"
        raise UserError(f"the newcomers hold {arms}: {again}")
    if frame.duplicated(["experiment", "seed", "arm", "round", "client"]).any():
        raise UserError(f"the newcomers hold a row twice: {again}")
    frame = frame[(frame["client"] == -1) & frame["round"].between(1, rounds)]
    for name, entry in results.main_runs.experiments.items():
        rows = frame[frame["experiment"] == name]
        if not rows.empty:
            table = rows.pivot(index=["seed", "round"], columns="arm", values="value")
            yield entry, 100 * table
