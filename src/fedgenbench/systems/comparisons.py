"""A method against each of its baselines: what claims on runs of the grid have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from fedgenbench.core.settings import Strict
from fedgenbench.federated.method import METHODS
from fedgenbench.report.measuring import Difference, Measured

if TYPE_CHECKING:
    import pandas as pd

    from fedgenbench.report.results import Results


def _known(name: str) -> str:
    if name not in METHODS and not any(name.startswith(f"{method}_") for method in METHODS):
        raise ValueError(
            f"{name!r} is no method, and no variant of one, whose name begins with the method's; "
            f"known: {', '.join(METHODS)}"
        )
    return name


MethodName = Annotated[str, AfterValidator(_known)]


class Compared(Strict):
    """One method and the baselines that it is compared with, every one of them."""

    method: MethodName
    baselines: Annotated[list[MethodName], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [self.method, *self.baselines]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"method and baselines name {', '.join(twice)} twice")
        return self

    def minus(self, results: Results, baseline: str) -> str:
        """Such as ``FedPAC − FedAvg``."""
        return f"{label(results, self.method)} − {label(results, baseline)}"

    def differences(
        self,
        results: Results,
        experiment: str,
        table: pd.DataFrame,
        when: str = "",
        model: str | None = None,
    ) -> Iterator[Difference]:
        """The method less each baseline, in points, of accuracies, seeds by methods.

        ``model``: whose accuracies they are, a key of ``METRICS``, where they are the last evaluation's,
        of which the answers are kept.
        """
        from fedgenbench.report.paired import paired_answers

        for baseline in self.baselines:
            if baseline in table:
                yield Difference(
                    f"{self.minus(results, baseline)}{when}",
                    (results.experiments[experiment]["title"],),
                    table[self.method],
                    table[baseline],
                    factor=100,
                    experiment=experiment,
                    answers=paired_answers(
                        results,
                        experiment,
                        [
                            {"job": "federate", "name": name, "model": model}
                            for name in (self.method, baseline)
                        ],
                    )
                    if model
                    else None,
                )


def label(results: Results, method: str) -> str:
    """The method's full label; its id where it was not run."""
    return results.full_label(method) if method in results.methods else method


def scored(
    results: Results,
    compared: Compared,
    measured: Measured,
    scores: Callable[[str], pd.DataFrame],
    metric: str = "personal",
    only: Mapping[str, Any] | None = None,
) -> dict[str, pd.DataFrame]:
    """Experiment -> its ``scores``, seeds by methods, where the method was run.

    What lacks goes to ``measured.missing``. ``metric`` says which accuracy the scores are, a key of
    ``METRICS``; ``only``: experiments whose entries have these values, "dataset" and "clients".
    """
    only = only or {}
    tables: dict[str, pd.DataFrame] = {}
    missing: list[str] = []
    for name, entry in results.experiments.items():
        if any(entry[key] != value for key, value in only.items()):
            continue
        table = scores(name)
        if compared.method in table:
            tables[name] = table
            if absent := [b for b in compared.baselines if b not in table]:
                missing += _absent(results, absent, name, metric)
        elif _ran(results, compared.method, name):
            missing += _absent(results, [compared.method], name, metric)
    if not tables and not missing:
        where = f" on {only['dataset']}" if "dataset" in only else ""
        where += f" with {only['clients']} clients" if "clients" in only else ""
        missing.append(f"runs of {label(results, compared.method)}{where}")
    measured.missing += missing
    return tables


def _absent(
    results: Results, methods: Sequence[str], experiment: str, metric: str
) -> Iterator[str]:
    """What is missing of methods without a score: the runs, or the score itself."""
    title = results.experiments[experiment]["title"]
    for ran in (False, True):
        without = [m for m in methods if _ran(results, m, experiment) == ran]
        if without:
            what = f"a {metric} accuracy" if ran else "runs"
            why = " (it was run and has none)" if ran else ""
            labels = ", ".join(label(results, method) for method in without)
            yield f"{what} of {labels} on {title}{why}"


def _ran(results: Results, method: str, experiment: str) -> bool:
    runs = results.runs
    return bool(((runs["experiment"] == experiment) & (runs["method"] == method)).any())
