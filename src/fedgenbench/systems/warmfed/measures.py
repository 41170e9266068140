"""What WarmFed's claims are judged from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from fedgenbench.core.settings import Strict
from fedgenbench.report.measuring import Difference, Measured, measure
from fedgenbench.systems.comparisons import Compared, MethodName, label, scored

if TYPE_CHECKING:
    import pandas as pd

    from fedgenbench.report.results import Results


class Accuracy(Compared):
    """``at`` "one_shot": after the warm start, or the first round where there is none."""

    metric: Literal["personal", "global"]
    at: Literal["one_shot", "last"]


@measure(Accuracy, unit="points")
def accuracy(results: Results, of: Accuracy) -> Measured:
    """Accuracy of the method less each baseline's, on all that the method was run on."""
    from fedgenbench.systems.warmfed.numbers import one_shot

    results, measured = results.main_runs, Measured()
    scores = partial(one_shot, results) if of.at == "one_shot" else results.by_seed
    tables = scored(results, of, measured, partial(scores, metric=of.metric), of.metric)
    kept = None if of.at == "one_shot" else of.metric
    for name, table in tables.items():
        measured.differences += of.differences(results, name, table, model=kept)
        if of.metric == "personal":
            measured.notes += _collapsed(results, name)
    measured.notes += _not_run(results, "main")
    return measured


class EveryRound(Compared):
    metric: Literal["personal", "global"]


@measure(EveryRound, unit="points")
def accuracy_by_round(results: Results, of: EveryRound) -> Measured:
    """The same after every evaluated round from round 1 on that both have."""
    results, measured = results.main_runs, Measured()
    scores = partial(results.by_seed, metric=of.metric)
    for name in scored(results, of, measured, scores, of.metric):
        frame = results.rounds
        frame = frame[
            (frame["experiment"] == name)
            & (frame["metric"] == of.metric)
            & (frame["client"] == -1)
            & (frame["round"] >= 1)
        ]
        for number, rows in frame.groupby("round"):
            table = rows.pivot(index="seed", columns="method", values="value")
            if of.method in table:
                when = f" after round {number}"
                measured.differences += of.differences(results, name, table, when)
    measured.notes += _not_run(results, "main")
    return measured


@measure(Compared, unit="points")
def spread_over_rounds(results: Results, of: Compared) -> Measured:
    """Spread of personal models around their trend over the rounds: a baseline's less the method's."""
    from fedgenbench.systems.warmfed.numbers import TREND_ROUNDS, steadiness

    results, measured = results.main_runs, Measured()
    for name in scored(results, of, measured, partial(results.by_seed, metric="personal")):
        title = results.experiments[name]["title"]
        spread = {
            method: steadiness(results, name, method)["around"]
            for method in (of.method, *of.baselines)
        }
        if spread[of.method].empty:
            measured.missing.append(f"{TREND_ROUNDS} evaluated rounds on {title}")
            continue
        measured.differences += [
            Difference(
                f"spread of {label(results, baseline)} − {label(results, of.method)}",
                (title,),
                spread[baseline],
                spread[of.method],
                factor=100,
            )
            for baseline in of.baselines
            if not spread[baseline].empty
        ]
    measured.notes += _not_run(results, "main")
    return measured


@measure(Compared, unit="points")
def accuracy_on_left_out_domains(results: Results, of: Compared) -> Measured:
    """Global accuracy on a domain that no client holds, mean over the domains, less each baseline's."""
    measured = Measured()
    variations: dict[str, list[str]] = {}
    for base, name, _ in _varied(results, "left_out"):
        variations.setdefault(base, []).append(name)
    for base, names in variations.items():
        title = results.experiments[base]["title"]
        part = results.select(experiments=names)
        by_seed = partial(part.by_seed, metric="global")
        tables = scored(part, of, measured, by_seed, "global")
        known = {results.experiments[name]["left_out"] for name in tables}
        if absent := [d for d in results.domains(base) if d not in known]:
            measured.missing.append(f"runs without {', '.join(absent)} on {title}")
        for baseline in of.baselines:
            both = {n: table for n, table in tables.items() if baseline in table}
            if not both:
                continue
            ahead, behind = (
                _mean_of_all({n: 100 * table[method] for n, table in both.items()})
                for method in (of.method, baseline)
            )
            what = f"{of.minus(results, baseline)}, mean over the domains left out"
            measured.differences.append(Difference(what, (title,), ahead, behind))
            won = sum((t[of.method] - t[baseline]).mean() > 0 for t in both.values())
            measured.notes.append(
                f"{label(results, of.method)} is ahead of {label(results, baseline)} on {won} "
                f"of {len(both)} domains ({title})."
            )
    if not variations:
        measured.missing.append("runs without a domain")
    measured.notes += _not_run(results, "left_out")
    return measured


class MoreClients(Strict):
    """A method with ``times`` as many clients."""

    method: MethodName
    times: Annotated[int, Field(ge=2)]


@measure(MoreClients, unit="%", learnt=False)  # bytes do not depend on it
def traffic_of_a_client(results: Results, of: MoreClients) -> Measured:
    """By how much one client's traffic of the whole run shrinks with more clients, in % of what it is.

    Where it does not grow, all clients together cost in proportion to their number. It is worked out
    from the runs, and no other ones are needed: what a client sends, and the models that it gets, know
    nothing of the others, and the synthetic images that it gets are a fixed share of those of all
    clients' adapters, so they grow with the clients.
    """
    results, measured = results.main_runs, Measured()
    runs = results.runs[results.runs["method"] == of.method]
    for name, rows in runs.groupby("experiment", sort=False):
        rows = rows.set_index("seed")
        each_round = rows["bytes_up"] + rows["bytes_down"]
        now = rows["bytes_up_once"] + rows["bytes_down_once"] + rows["rounds"] * each_round
        then = now + (of.times - 1) * rows["bytes_down_once"]
        entry = results.experiments[name]
        what = (
            f"one client's traffic with {entry['clients']} − with {of.times * entry['clients']} clients, "
            f"in % of the former"
        )
        measured.differences.append(
            Difference(what, (entry["title"],), 100 * now / now, 100 * then / now, experiment=name)
        )
    if not measured.differences:
        measured.missing.append(f"runs of {label(results, of.method)}")
    return measured


@measure(Strict, unit="MB")
def adapter_size(results: Results, _of: Strict) -> Measured:
    """An adapter's size, mean over the clients; a MB is 10^6 bytes."""
    results, measured = results.main_runs, Measured()
    frame = results.synthesis
    frame = frame[(frame["kind"] == "adapter") & (frame["name"] == "adapter_bytes")]
    for name, rows in frame.groupby("experiment"):
        title = results.experiments[name]["title"]
        measured.values[title] = rows.groupby("seed")["value"].mean() / 1e6
    if not measured.values:
        measured.missing.append("adapters")
    return measured


def _varied(results: Results, role: str) -> Iterator[tuple[str, str, str]]:
    """(base, experiment, its title) of the experiments of a role whose base was run."""
    for name, entry in results.experiments.items():
        if entry.get("role") == role and entry["base"] in results.experiments:
            yield entry["base"], name, entry["title"]


def _collapsed(results: Results, experiment: str) -> Iterator[str]:
    """Where dynamic self-distillation chose nothing, its worth is not judged: a sentence on it."""
    from fedgenbench.systems.warmfed.numbers import collapses

    collapsed, recorded = collapses(results, experiment)
    if collapsed:
        title = results.experiments[experiment]["title"]
        yield (
            f"DSD's mask took one teacher for nearly all samples in {collapsed} of {recorded} "
            f"client-rounds ({title})."
        )


def _mean_of_all(by_name: dict[str, pd.Series]) -> pd.Series:
    """The mean of the series in the seeds that all of them have."""
    import pandas as pd

    return pd.DataFrame(by_name).dropna().mean(axis=1)


def _not_run(results: Results, role: str) -> list[str]:
    """A sentence about what WarmFed was to be run on but was not, in its main or another role."""
    from fedgenbench.systems.warmfed.numbers import absent

    datasets = dict.fromkeys(entry["dataset"] for entry in absent(results, role).values())
    return [f"Not run here: {', '.join(datasets)}."] if datasets else []
