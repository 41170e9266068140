"""What FedLMG's claims are judged from: accuracies that its server's jobs report, mean over clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from fedgenbench.core.settings import Strict
from fedgenbench.report.measuring import Difference, Measured, measure
from fedgenbench.report.published import Names

if TYPE_CHECKING:
    import pandas as pd

    from fedgenbench.report.results import Results

# The rows of the server's report that claims may name.
ServerRow = Literal[
    "ceiling_head",
    "ceiling",
    "prompts",
    "fedavg",
    "fedprox",
    "feddyn",
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
    setting: Literal[
        "feature skew", "label skew", "overlapping labels", "different architectures"
    ] = "feature skew"
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


class Variation(_Where):
    """Each of ``methods`` on the images of ``better``, less the same on those of ``worse``.

    They are rows of variations; "main" is full guidance on as many images, "prompts" none.
    """

    better: str
    worse: str


@measure(Variation, unit="points")
def accuracy_of_variations(results: Results, of: Variation) -> Measured:
    """Accuracy on the images of one variation less that on another's, of equal number and steps."""
    from fedgenbench.systems.fedlmg.numbers import LABELS

    measured = Measured()
    for experiment in _experiments(results, of, measured):
        title = results.experiments[experiment]["title"]
        for method in of.methods:
            pair = [_varied(results, experiment, row, method) for row in (of.better, of.worse)]
            words = [_words(results, experiment, row) for row in (of.better, of.worse)]
            if pair[0] is None or pair[1] is None:
                lacking = [w for w, each in zip(words, pair, strict=True) if each is None]
                measured.missing.append(f"{LABELS[method]} {' and '.join(lacking)} on {title}")
                continue
            what = f"{LABELS[method]} {words[0]} − {words[1]}"
            measured.differences.append(Difference(what, (title,), pair[0], pair[1], factor=100))
    return measured


def _varied(results: Results, experiment: str, row: str, method: str) -> pd.Series | None:
    """Accuracy by seed of ``method`` on a variation; of prompts alone it is fine-tuning's."""
    from fedgenbench.systems.fedlmg.numbers import accuracies, beside_ablations, setup

    if row not in ("main", "prompts", *setup(results, experiment)["ablations"]):
        return None
    table = accuracies(results, experiment, row) if row not in ("main", "prompts") else None
    if table is None and setup(results, experiment)["ablations"]:
        table = beside_ablations(results, experiment)
    column = "prompts" if row == "prompts" else method
    return None if table is None or column not in table else table[column]


def _words(results: Results, experiment: str, row: str) -> str:
    from fedgenbench.systems.fedlmg.numbers import changed, setup

    if row in setup(results, experiment)["ablations"]:
        return changed(results, experiment, row)
    return {"main": "full guidance", "prompts": "prompts alone"}.get(row, row)


@measure(_Where, unit="points")
def accuracy_by_images(results: Results, of: _Where) -> Measured:
    """Accuracy with more images per client and class less that with the next fewer, at equal steps."""
    from fedgenbench.systems.fedlmg.numbers import LABELS, sized

    measured = Measured()
    for experiment in _experiments(results, of, measured):
        title = results.experiments[experiment]["title"]
        for method in of.methods:
            table = sized(results, experiment, method)
            sizes = sorted(table)
            if len(sizes) < 2:
                measured.missing.append(f"{LABELS[method]} on fewer images on {title}")
            for fewer, more in pairwise(sizes):
                what = f"{LABELS[method]}, {more} − {fewer} images per client and class"
                pair = table[more], table[fewer]
                measured.differences.append(Difference(what, (title,), *pair, factor=100))
    return measured


@measure(_Where, unit="points")
def accuracy_with_more_clients(results: Results, of: _Where) -> Measured:
    """Accuracy with each larger number of clients less that with one client a domain, same data set and
    equally many images."""
    from fedgenbench.systems.fedlmg.numbers import (
        LABELS,
        accuracies,
        equally_many,
        experiments_of,
    )

    measured = Measured()
    crowds = experiments_of(results, "number of clients")
    for experiment in _experiments(results, of, measured):
        dataset = results.experiments[experiment]["dataset"]
        same = [name for name in crowds if results.experiments[name]["dataset"] == dataset]
        if not same:
            measured.missing.append(f"more clients on {dataset}")
        for name, method in product(same, of.methods):
            title, many = results.experiments[name]["title"], accuracies(results, name)
            few = equally_many(results, experiment, name)
            what = f"{LABELS[method]}, {title} − {results.experiments[experiment]['title']}"
            if method not in many or method not in few:
                measured.missing.append(what)
                continue
            pair = many[method], few[method]
            measured.differences.append(Difference(what, (title,), *pair, factor=100))
    return measured


class Distances(_Where):
    """Fréchet distances to one half of a client's images: ``far`` has to lie above ``near``."""

    methods: Rows = Field(default=["fedlmg_ft"])
    far: Literal["guided", "half", "others", "prompts"]
    near: Literal["guided", "half", "others", "prompts"]


@measure(Distances, unit="")
def distance_to_real_images(results: Results, of: Distances) -> Measured:
    """Fréchet distance of one set of images to a half of the client's, less that of another set."""
    from fedgenbench.systems.fedlmg.numbers import similarity

    words = {
        "guided": "guided images",
        "half": "the other half",
        "others": "the nearest other client's images",
        "prompts": "images of prompts alone",
    }
    measured = Measured()
    for experiment in _experiments(results, of, measured):
        title, table = results.experiments[experiment]["title"], similarity(results, experiment)
        keys = f"{of.far}_frechet", f"{of.near}_frechet"
        if not {*keys} <= {*table}:
            measured.missing.append(f"distances of images on {title}")
            continue
        what = f"distance of {words[of.far]} − {words[of.near]}"
        measured.differences.append(Difference(what, (title,), table[keys[0]], table[keys[1]]))
    return measured


class Times(_Where):
    """How many times as much each of ``methods`` asks as one upload of FedLMG's classifier."""

    asked: Literal["traffic", "flops"]


@measure(Times, unit="times")
def times_of_one_shot(results: Results, of: Times) -> Measured:
    """What each method asks of a client, over what FedLMG's one shot does; parameters or operations."""
    from fedgenbench.systems.fedlmg.numbers import (
        LABELS,
        MULTI_ROUND,
        of_baseline,
        of_clients,
        setup,
    )

    measured = Measured()
    for experiment in _experiments(results, of, measured):
        title = results.experiments[experiment]["title"]
        quantity = {"traffic": "parameters", "flops": "flops"}[of.asked]
        own = of_clients(results, experiment, quantity).mean(axis=1)
        rounds = setup(results, experiment).get("rounds")
        for method in of.methods:
            if method in MULTI_ROUND:
                found = (
                    own * (2 * rounds - 1 if of.asked == "traffic" else rounds) if rounds else None
                )
            else:
                name = "download_parameters" if of.asked == "traffic" else "client_flops"
                found = of_baseline(results, experiment, name, method)
                # What a client sends of captions and features is small beside a model.
                found = None if found.empty else found
            if found is None:
                measured.missing.append(f"{LABELS[method]} on {title}")
                continue
            what = f"{LABELS[method]}, times FedLMG's {of.asked}"
            measured.differences.append(Difference(what, (title,), found / own, 0.0 * own))
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
