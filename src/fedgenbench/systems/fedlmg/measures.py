"""What FedLMG's claims are judged from: accuracies that its server's jobs report, mean over clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from fedgenbench.core.settings import Strict
from fedgenbench.report.measuring import Difference, Measured, measure
from fedgenbench.report.published import Names

if TYPE_CHECKING:
    from fedgenbench.report.results import Results

# The rows of the server's report that claims may name.
ServerRow = Literal[
    "ceiling_head",
    "ceiling",
    "prompts",
    "fedavg",
    "fedprox",
    "feddf",
    "dense",
    "fgl",
    "feddisc",
    "feddeo",
    "fedlmg_ft",
    "fedlmg_md",
    "fedlmg_sd",
]
Rows = Annotated[list[ServerRow], Field(min_length=1)]


class _Where(Strict):
    """Rows in experiments of ``setting``, on ``datasets`` (titles), or on all where it is null."""

    methods: Rows
    setting: Literal["feature skew", "label skew", "overlapping labels", "different architectures"]
    datasets: Names | None


class Accuracy(_Where):
    """Each of ``methods`` is compared with each of ``baselines``."""

    baselines: Rows

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [*self.methods, *self.baselines]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"methods and baselines name {', '.join(twice)} twice")
        return self


@measure(Accuracy, unit="points")
def accuracy(results: Results, of: Accuracy) -> Measured:
    """Accuracy of each method less each baseline's."""
    from fedgenbench.systems.fedlmg.numbers import LABELS, accuracies

    measured = Measured()
    for experiment in _experiments(results, of, measured):
        title, table = results.experiments[experiment]["title"], accuracies(results, experiment)
        for method, baseline in product(of.methods, of.baselines):
            if method not in table or baseline not in table:
                measured.missing.append(f"{LABELS[method]} or {LABELS[baseline]} on {title}")
                continue
            what = f"{LABELS[method]} − {LABELS[baseline]}"
            pair = table[method], table[baseline]
            measured.differences.append(Difference(what, (title,), *pair, factor=100))
    return measured


class Ablation(_Where):
    """Each of ``methods`` is compared with itself under the guidance of ``ablation``."""

    ablation: str


@measure(Ablation, unit="points")
def worth_of_a_part_of_guidance(results: Results, of: Ablation) -> Measured:
    """Accuracy under full guidance less that without a part of it, on as many images."""
    from fedgenbench.systems.fedlmg.numbers import (
        LABELS,
        accuracies,
        beside_ablations,
        changed,
        setup,
    )

    measured = Measured()
    for experiment in _experiments(results, of, measured):
        title = results.experiments[experiment]["title"]
        if of.ablation not in setup(results, experiment)["ablations"]:
            measured.missing.append(f"the ablation {of.ablation} on {title}")
            continue
        full = beside_ablations(results, experiment)
        without = accuracies(results, experiment, of.ablation)
        other = f"the same {changed(results, experiment, of.ablation)}"
        for method in of.methods:
            if method not in full or method not in without:
                measured.missing.append(f"{LABELS[method]} or {other} on {title}")
                continue
            what, pair = f"{LABELS[method]} − {other}", (full[method], without[method])
            measured.differences.append(Difference(what, (title,), *pair, factor=100))
    return measured


def _experiments(results: Results, of: _Where, measured: Measured) -> Iterator[str]:
    """The experiments of the setting, data set by data set; notes what was not run."""
    from fedgenbench.systems.fedlmg.numbers import absent, experiments_of

    entries = {name: results.experiments[name] for name in experiments_of(results, of.setting)}
    asked: Sequence[str | None] = of.datasets or [None]
    for dataset in asked:
        names = [name for name, entry in entries.items() if dataset in (None, entry["dataset"])]
        if not names:
            measured.missing.append(" ".join([of.setting, *(["on", dataset] if dataset else [])]))
        yield from names
    datasets = dict.fromkeys(entry["dataset"] for entry in absent(results).values())
    if of.datasets is None and datasets:
        measured.notes.append(f"Not run here: {'; '.join(datasets)}.")
