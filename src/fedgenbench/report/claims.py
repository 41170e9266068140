"""What papers say can be seen, judged from this benchmark's own runs.

``papers/<paper>/claims.yaml`` holds the claims, each with one typed test. A test names differences
that all have to lie above a bound; the rules of the verdict are the same for every kind, and stand
in docs/claims.md. A new kind of test is a class below and a place in ``Test``.

Data frames and reports are imported late, so that claims are validated in a dry run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from fedgenbench.core.errors import UserError
from fedgenbench.core.reading import read_yaml
from fedgenbench.core.settings import Strict
from fedgenbench.core.wording import counted
from fedgenbench.federated.method import METHODS
from fedgenbench.plan.settings import SCALES
from fedgenbench.report.published import Names, checked
from fedgenbench.systems.pfedgpa.study_settings import ARMS

if TYPE_CHECKING:
    import pandas as pd

    from fedgenbench.report.results import Results
    from fedgenbench.report.statistics import Interval
    from fedgenbench.report.verdicts import Claim

_NEWCOMERS = ("experiment", "seed", "arm", "round", "client", "value")


@dataclass(frozen=True, eq=False)
class Evidence:
    """What claims are judged from.

    results: the collected runs.
    newcomers: one row per experiment, seed, arm (a key of ``ARMS``), local round and new client;
        ``value`` is its accuracy in [0, 1] after that round (0: before any local training), client
        -1 the mean over new clients. None where the phase was not run.

    Raises UserError for newcomers that lack a column, name something unknown or hold a row twice.
    """

    results: Results
    newcomers: pd.DataFrame | None

    def __post_init__(self) -> None:
        frame = self.newcomers
        if frame is None:
            return
        again = "run the collect rule again"
        if missing := [column for column in _NEWCOMERS if column not in frame]:
            columns = f"{counted(len(missing), 'column')}, {', '.join(missing)}"
            raise UserError(f"the newcomers lack {columns}: {again}")
        for column, known in (("experiment", self.results.experiments), ("arm", ARMS)):
            if unknown := sorted(set(frame[column]) - set(known)):
                raise UserError(
                    f"the newcomers hold {counted(len(unknown), f'unknown {column}')}, "
                    f"{', '.join(unknown)}: {again}"
                )
        if frame.duplicated(["experiment", "seed", "arm", "round", "client"]).any():
            raise UserError(f"the newcomers hold a row twice: {again}")

    @cached_property
    def main(self) -> Results:
        """The results without tuning, whose scores chose settings and so cannot judge them."""
        entries = self.results.experiments.items()
        main = [name for name, entry in entries if entry.get("role", "main") == "main"]
        return self.results.select(experiments=main)


@dataclass(frozen=True, eq=False)
class Comparison:
    """One difference that a claim is about: ``ahead - behind``, both by seed, in the test's unit.

    titles: of the experiments it comes from.
    slack: how far the measurement itself may be off; it widens the interval at both ends.
    """

    what: str
    titles: tuple[str, ...]
    ahead: pd.Series
    behind: pd.Series
    slack: float = 0.0

    @property
    def seeds(self) -> list[int]:
        return sorted((self.ahead - self.behind).dropna().index)

    def interval(self, confidence: float) -> Interval:
        from fedgenbench.report.statistics import Interval, paired_difference

        plain = paired_difference(self.ahead, self.behind, confidence)
        return Interval(plain.mean, plain.low - self.slack, plain.high + self.slack, plain.n)


@dataclass
class Found:
    """What the runs hold of a claim: its comparisons, and in words what is missing or noteworthy."""

    comparisons: list[Comparison] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


# Kinds of test ---------------------------------------------------------------------------------
def _known(name: str) -> str:
    if name not in METHODS and not any(name.startswith(f"{method}_") for method in METHODS):
        raise ValueError(
            f"{name!r} is no method, and no variant of one, whose name begins with the method's; "
            f"known: {', '.join(METHODS)}"
        )
    return name


MethodName = Annotated[str, AfterValidator(_known)]


class Rivals(Strict):
    """A test of one method against every one of its baselines."""

    method: MethodName
    baselines: Annotated[list[MethodName], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [self.method, *self.baselines]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"method and baselines name {', '.join(twice)} twice")
        return self

    def tables(
        self,
        results: Results,
        found: Found,
        scores: Callable[[str], pd.DataFrame],
        dataset: str | None = None,
        clients: int | None = None,
    ) -> dict[str, pd.DataFrame]:
        """Experiment -> its ``scores``, seeds by methods, where the method was run.

        ``dataset`` and ``clients`` None take all.
        """
        wanted = [dataset] if dataset else []
        wanted += [] if clients is None else [f"with {clients} clients"]
        tables, missing = {}, []
        for name, entry in results.experiments.items():
            if dataset not in (None, entry["dataset"]) or clients not in (None, entry["clients"]):
                continue
            table = scores(name)
            if self.method in table:
                tables[name] = table
                if absent := [b for b in self.baselines if b not in table]:
                    missing += self._absent(results, absent, name)
            elif self._ran(results, self.method, name):
                missing += self._absent(results, [self.method], name)
        if not tables and not missing:
            where = " ".join(["", "on", *wanted]) if wanted else ""
            missing.append(f"runs of {_label(results, self.method)}{where}")
        found.missing += missing
        return tables

    @property
    def scored(self) -> str:
        """Which accuracy is compared, a key of ``METRICS``."""
        return "personal"

    def _absent(self, results: Results, methods: Sequence[str], name: str) -> Iterable[str]:
        """What is missing of methods without a score: the runs, or the score itself."""
        title = results.experiments[name]["title"]
        for ran in (False, True):
            own = [m for m in methods if self._ran(results, m, name) == ran]
            if own:
                what = f"a {self.scored} accuracy" if ran else "runs"
                why = " (it was run and has none)" if ran else ""
                labels = ", ".join(_label(results, method) for method in own)
                yield f"{what} of {labels} on {title}{why}"

    @staticmethod
    def _ran(results: Results, method: str, name: str) -> bool:
        runs = results.runs
        return bool(((runs["experiment"] == name) & (runs["method"] == method)).any())

    def differences(
        self, results: Results, name: str, table: pd.DataFrame, what: str = ""
    ) -> Iterable[Comparison]:
        """The method less each baseline, in points, of a table of ``tables``."""
        points, title = 100 * table, results.experiments[name]["title"]
        for baseline in self.baselines:
            if baseline in points:
                yield Comparison(
                    f"{_minus(results, self.method, baseline)}{what} ({title})",
                    (title,),
                    points[self.method],
                    points[baseline],
                )


class Lead(Rivals):
    """Accuracy above every baseline's by more than ``margin`` points, negative for a tolerance.

    ``datasets`` null: on all that the method was run on; what WarmFed was not run on is then noted.
    ``clients`` null: in every experiment on these data sets. ``at`` "one_shot": after the warm start,
    or the first round where there is none.
    """

    unit: ClassVar[str] = "points"
    kind: Literal["lead"]
    datasets: Names | None
    clients: Annotated[int, Field(ge=1)] | None
    margin: FiniteFloat
    metric: Literal["personal", "global"] = "personal"
    at: Literal["one_shot", "last"] = "last"

    @property
    def asked(self) -> float:
        return self.margin

    @property
    def scored(self) -> str:
        return self.metric

    def compare(self, evidence: Evidence) -> Found:
        from fedgenbench.systems.warmfed.numbers import one_shot

        results, found = evidence.main, Found()

        def scores(experiment: str) -> pd.DataFrame:
            if self.at == "one_shot":
                return one_shot(results, experiment, self.metric)
            return results.by_seed(experiment, self.metric)

        for dataset in self.datasets or [None]:
            tables = self.tables(results, found, scores, dataset, self.clients)
            for name, table in tables.items():
                found.comparisons += self.differences(results, name, table)
        if self.datasets is None:
            found.notes += _unrun(results, "main")
        return found


class EveryRound(Rivals):
    """Accuracy above every baseline's in every evaluated round from round 1 on that both have."""

    unit: ClassVar[str] = "points"
    asked: ClassVar[float] = 0.0
    kind: Literal["every_round"]
    metric: Literal["personal", "global"]

    @property
    def scored(self) -> str:
        return self.metric

    def compare(self, evidence: Evidence) -> Found:
        results, found = evidence.main, Found()
        tables = self.tables(results, found, partial(results.by_seed, metric=self.metric))
        for name in tables:
            frame = results.rounds
            frame = frame[
                (frame["experiment"] == name)
                & (frame["metric"] == self.metric)
                & (frame["client"] == -1)
                & (frame["round"] >= 1)
            ]
            for number, rows in frame.groupby("round"):
                table = rows.pivot(index="seed", columns="method", values="value")
                if self.method in table:
                    what = f" after round {number}"
                    found.comparisons += self.differences(results, name, table, what)
        found.notes += _unrun(results, "main")
        return found


class Steadiness(Rivals):
    """Personal models that spread less over the rounds than every baseline's, around their trend."""

    unit: ClassVar[str] = "points"
    asked: ClassVar[float] = 0.0
    kind: Literal["steadiness"]

    def compare(self, evidence: Evidence) -> Found:
        from fedgenbench.systems.warmfed.numbers import TREND_ROUNDS, steadiness

        results, found = evidence.main, Found()
        tables = self.tables(results, found, partial(results.by_seed, metric="personal"))
        for name in tables:
            title = results.experiments[name]["title"]
            spread = {
                method: 100 * steadiness(results, name, method)["around"]
                for method in (self.method, *self.baselines)
            }
            if spread[self.method].empty:
                found.missing.append(f"{TREND_ROUNDS} evaluated rounds on {title}")
                continue
            found.comparisons += [
                Comparison(
                    f"spread of {_minus(results, baseline, self.method)} ({title})",
                    (title,),
                    spread[baseline],
                    spread[self.method],
                )
                for baseline in self.baselines
                if not spread[baseline].empty
            ]
        found.notes += _unrun(results, "main")
        return found


class LeftOut(Rivals):
    """The global model above every baseline's on a domain that no client holds: mean over the domains."""

    unit: ClassVar[str] = "points"
    asked: ClassVar[float] = 0.0
    kind: Literal["left_out"]

    @property
    def scored(self) -> str:
        return "global"

    def compare(self, evidence: Evidence) -> Found:
        results, found = evidence.results, Found()
        bases: dict[str, list[str]] = {}
        for base, name, _ in _varied(results, "left_out"):
            bases.setdefault(base, []).append(name)
        for base, own in bases.items():
            title = results.experiments[base]["title"]
            part = results.select(experiments=own)
            tables = self.tables(part, found, partial(results.by_seed, metric="global"))
            known = {results.experiments[name]["left_out"] for name in tables}
            if absent := [d for d in results.domains(base) if d not in known]:
                found.missing.append(f"runs without {', '.join(absent)} on {title}")
            for baseline in self.baselines:
                both = {n: 100 * t for n, t in tables.items() if baseline in t}
                if not both:
                    continue
                ahead, behind = (
                    _mean_of_all({n: t[method] for n, t in both.items()})
                    for method in (self.method, baseline)
                )
                what = f"{_minus(results, self.method, baseline)}, mean over the domains left out"
                found.comparisons.append(Comparison(f"{what} ({title})", (title,), ahead, behind))
                won = sum((t[self.method] - t[baseline]).mean() > 0 for t in both.values())
                found.notes.append(
                    f"{_label(results, self.method)} is ahead of {_label(results, baseline)} on {won} "
                    f"of {len(both)} domains ({title})."
                )
        if not bases:
            found.missing.append("runs without a domain")
        found.notes += _unrun(results, "left_out")
        return found


class Traffic(Strict):
    """What one client sends and receives grows by no more than ``tolerance`` % with more clients.

    Then all clients together cost in proportion to their number.
    """

    unit: ClassVar[str] = "%"
    kind: Literal["traffic"]
    method: MethodName
    tolerance: Annotated[FiniteFloat, Field(ge=0)]

    @property
    def asked(self) -> float:
        return -self.tolerance

    def compare(self, evidence: Evidence) -> Found:
        from fedgenbench.systems.warmfed.numbers import traffic

        results, found = evidence.results, Found()
        for base, name, title in _varied(results, "scale"):
            few, many = (
                traffic(results, e, "up").add(traffic(results, e, "down")) for e in (base, name)
            )
            if self.method not in few or self.method not in many:
                found.missing.append(f"runs of {_label(results, self.method)} on {title}")
                continue
            few, many = few[self.method], many[self.method]
            titles = (results.experiments[base]["title"], title)
            found.comparisons.append(
                Comparison(
                    f"one client's traffic, as a share of {titles[0]}: that − {titles[1]}",
                    titles,
                    100 * few / few,
                    100 * many / few,
                )
            )
        if not found.comparisons and not found.missing:
            found.missing.append("runs with another number of clients")
        found.notes += _unrun(results, "scale")
        return found


class AdapterSize(Strict):
    """An adapter's size is within ``tolerance`` of ``megabytes`` (10^6 bytes): mean over the clients."""

    unit: ClassVar[str] = "MB"
    asked: ClassVar[float] = 0.0
    kind: Literal["adapter_size"]
    megabytes: Annotated[FiniteFloat, Field(gt=0)]
    tolerance: Annotated[FiniteFloat, Field(gt=0)]

    def compare(self, evidence: Evidence) -> Found:
        import pandas as pd

        results, found = evidence.main, Found()
        frame = results.synthesis
        frame = frame[(frame["kind"] == "adapter") & (frame["name"] == "adapter_bytes")]
        for name, rows in frame.groupby("experiment"):
            title = results.experiments[name]["title"]
            sizes = rows.groupby("seed")["value"].mean() / 1e6
            found.comparisons.append(
                Comparison(
                    f"{self.tolerance:g} MB − the distance of {sizes.mean():.3f} MB from "
                    f"{self.megabytes:g} MB ({title})",
                    (title,),
                    pd.Series(self.tolerance, sizes.index),
                    (sizes - self.megabytes).abs(),
                )
            )
        if not found.comparisons:
            found.missing.append("adapters")
        return found


def _varied(results: Results, role: str) -> Iterable[tuple[str, str, str]]:
    """(base, experiment, its title) of the experiments of a role whose base was run."""
    for name, entry in results.experiments.items():
        if entry.get("role") == role and entry["base"] in results.experiments:
            yield entry["base"], name, entry["title"]


def _mean_of_all(by_name: Mapping[str, pd.Series]) -> pd.Series:
    """The mean of the series in the seeds that all of them have."""
    import pandas as pd

    return pd.DataFrame(by_name).dropna().mean(axis=1)


def _unrun(results: Results, role: str) -> list[str]:
    """A sentence about what WarmFed was to be run on but was not, in its main or another role."""
    from fedgenbench.systems.warmfed.numbers import absent as absent_of

    absent = absent_of(results, role).values()
    datasets = dict.fromkeys(entry["dataset"] for entry in absent)
    return [f"Not run here: {', '.join(datasets)}."] if datasets else []


# The rows of the server's report that claims may name; systems.fedlmg.section calls them by their labels.
ServerRow = Literal[
    *("ceiling_head", "ceiling", "prompts", "fedavg", "fedprox", "feddf"),
    *("dense", "fgl", "feddisc", "feddeo"),
    *("fedlmg_ft", "fedlmg_md", "fedlmg_sd"),
]


class Served(Strict):
    """FedLMG's accuracy, mean over clients, above others' by more than ``margin`` points.

    Each of ``methods`` is compared with each of ``baselines``, or, with ``against``, with itself under
    that ablation's guidance. ``datasets`` null: all on which ``setting`` was run.
    """

    unit: ClassVar[str] = "points"
    kind: Literal["served"]
    methods: Annotated[list[ServerRow], Field(min_length=1)]
    baselines: list[ServerRow] = Field(default_factory=list)
    against: str | None = None
    setting: Literal["feature skew", "label skew", "overlapping labels", "different architectures"]
    datasets: Names | None
    margin: FiniteFloat

    @model_validator(mode="after")
    def _one_rival(self) -> Self:
        if bool(self.baselines) == bool(self.against):
            raise ValueError("name either baselines or an ablation as against")
        names = [*self.methods, *self.baselines]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"methods and baselines name {', '.join(twice)} twice")
        return self

    @property
    def asked(self) -> float:
        return self.margin

    def compare(self, evidence: Evidence) -> Found:
        from fedgenbench.systems.fedlmg.numbers import absent as fedlmg_absent
        from fedgenbench.systems.fedlmg.numbers import experiments_of

        results, found = evidence.results, Found()
        experiments = experiments_of(results, self.setting)
        entries = {name: results.experiments[name] for name in experiments}
        for dataset in self.datasets or [None]:
            own = [e for e, entry in entries.items() if dataset in (None, entry["dataset"])]
            if not own:
                found.missing.append(
                    " ".join([self.setting, *(["on", dataset] if dataset else [])])
                )
            for name in own:
                found.comparisons += self._differences(results, name, found)
        if self.datasets is None:
            absent = fedlmg_absent(results).values()
            if datasets := dict.fromkeys(entry["dataset"] for entry in absent):
                found.notes.append(f"Not run here: {'; '.join(datasets)}.")
        return found

    def _differences(self, results: Results, name: str, found: Found) -> Iterable[Comparison]:
        from fedgenbench.systems.fedlmg.numbers import (
            LABELS,
            accuracies,
            beside_ablations,
            changed,
            setup,
        )

        title, table = results.experiments[name]["title"], 100 * accuracies(results, name)
        if self.against and self.against not in setup(results, name)["ablations"]:
            found.missing.append(f"the ablation {self.against} on {title}")
            return
        if self.against:
            table = 100 * beside_ablations(results, name)
        for method, other in product(self.methods, self.baselines or [None]):
            behind, label = table, LABELS.get(other)
            if self.against:
                behind = 100 * accuracies(results, name, self.against)
                other, label = method, f"the same {changed(results, name, self.against)}"
            if method not in table or other not in behind:
                found.missing.append(f"{LABELS[method]} or {label} on {title}")
                continue
            yield Comparison(
                f"{LABELS[method]} − {label} ({title})", (title,), table[method], behind[other]
            )


class Rounds(Rivals):
    """Fewer rounds than every baseline to the final accuracy of ``reference`` in the same seed.

    The target looks at no result of the method. Nothing is interpolated: the first evaluated round
    at or above it counts, and one more than all rounds where there is none.
    """

    unit: ClassVar[str] = "rounds"
    asked: ClassVar[float] = 0.0
    kind: Literal["rounds"]
    datasets: Names
    reference: MethodName

    def compare(self, evidence: Evidence) -> Found:
        results, found = evidence.main, Found()
        reference = _label(results, self.reference)
        personal = partial(results.by_seed, metric="personal")
        for dataset in self.datasets:
            tables = self.tables(results, found, personal, dataset)
            for name, table in tables.items():
                title = results.experiments[name]["title"]
                if self.reference not in table:
                    found.missing.append(f"the target, set by {reference}, on {title}")
                    continue
                counts, step = self._counts(results, name, table)
                found.comparisons += [
                    Comparison(
                        f"rounds of {_minus(results, baseline, self.method)} ({title})",
                        (title,),
                        counts[baseline],
                        counts[self.method],
                        # A count is known to one evaluation, and so is a difference of two.
                        slack=step,
                    )
                    for baseline in self.baselines
                    if baseline in table
                ]
                own = counts[self.method].dropna()
                arrived = int((own <= results.experiments[name]["rounds"]).sum())
                found.notes.append(
                    f"{_label(results, self.method)} reached the final accuracy of {reference} in "
                    f"{arrived} of {len(own)} seeds ({title}; intervals widened by the "
                    f"{counted(step, 'round')} between evaluations)."
                )
        return found

    def _counts(
        self, results: Results, experiment: str, table: pd.DataFrame
    ) -> tuple[pd.DataFrame, int]:
        """Rounds to the target, shaped as ``table``, and the widest step between evaluations."""
        target = table[self.reference].dropna()
        frame = results.rounds
        frame = frame[
            (frame["experiment"] == experiment)
            & (frame["metric"] == "personal")
            & (frame["client"] == -1)
            & frame["seed"].isin(target.index)
        ]
        ran = frame.groupby(["seed", "method"]).size().index
        reached = frame[frame["value"] >= frame["seed"].map(target)]
        first = reached.groupby(["seed", "method"])["round"].min()
        never = results.experiments[experiment]["rounds"] + 1
        evaluated = sorted({0, *frame["round"]})
        step = max(int(b - a) for a, b in pairwise(evaluated))
        counts = first.reindex(ran, fill_value=never).unstack()
        return counts.reindex(columns=table.columns), step


class Newcomers(Strict):
    """Higher accuracy of new clients than in every arm of ``against``: mean of rounds 1 to ``rounds``."""

    unit: ClassVar[str] = "points"
    asked: ClassVar[float] = 0.0
    kind: Literal["newcomers"]
    arm: Literal[tuple(ARMS)]
    against: Annotated[list[Literal[tuple(ARMS)]], Field(min_length=1)]
    rounds: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.arm in self.against or len(set(self.against)) < len(self.against):
            raise ValueError("arm and against name one twice")
        return self

    def compare(self, evidence: Evidence) -> Found:
        found = Found()
        for title, points in self._points(evidence):
            for rival in self.against:
                pair = f"{ARMS[self.arm]} − {ARMS[rival]}"
                # Rounds that only one of the two has would favour the one that has the later ones.
                both = points.reindex(columns=[self.arm, rival]).dropna()
                if both.empty:
                    found.missing.append(f"new clients for {pair} on {title}")
                    continue
                means = both.groupby("seed").mean()
                last = both.index.get_level_values("round").max()
                found.comparisons.append(
                    Comparison(
                        f"{pair}, mean of the new clients' local rounds up to {last} ({title})",
                        (title,),
                        means[self.arm],
                        means[rival],
                    )
                )
        if not found.comparisons and not found.missing:
            found.missing.append("runs with new clients")
        return found

    def _points(self, evidence: Evidence) -> Iterable[tuple[str, pd.DataFrame]]:
        """Title of an experiment, and its accuracies in per cent: (seed, round) by arms."""
        if evidence.newcomers is None:
            return
        frame = evidence.newcomers
        frame = frame[(frame["client"] == -1) & frame["round"].between(1, self.rounds)]
        for name, entry in evidence.main.experiments.items():
            own = frame[frame["experiment"] == name]
            if not own.empty:
                points = own.pivot(index=["seed", "round"], columns="arm", values="value")
                yield entry["title"], 100 * points


class Growth(Rivals):
    """The lead over every baseline grows with the client count and as the model gets smaller.

    sizes: data set -> client model -> weights. Two experiments are compared that differ in the
    clients, or in the model, alone: those at the ends of what was run.
    """

    unit: ClassVar[str] = "points"
    asked: ClassVar[float] = 0.0
    kind: Literal["growth"]
    sizes: Annotated[dict[str, dict[str, Annotated[int, Field(ge=1)]]], Field(min_length=1)]

    def compare(self, evidence: Evidence) -> Found:
        results, found = evidence.main, Found()
        personal = partial(results.by_seed, metric="personal")
        for dataset, sizes in self.sizes.items():
            tables = self.tables(results, found, personal, dataset)
            if not tables:
                continue
            entries = {name: results.experiments[name] for name in tables}
            clients = {name: entry["clients"] for name, entry in entries.items()}
            # The smaller the further along.
            models = {
                name: -sizes[entry["model"]]
                for name, entry in entries.items()
                if entry["model"] in sizes
            }
            for axis, places in (("clients", clients), ("model", models)):
                pairs = list(_ends(axis, places, entries))
                if not pairs:
                    found.missing.append(
                        f"two experiments on {dataset} that differ in the {axis} alone"
                    )
                for here, there in pairs:
                    found.comparisons += self._grown(results, tables, here, there)
        return found

    def _grown(
        self, results: Results, tables: Mapping[str, pd.DataFrame], here: str, there: str
    ) -> Iterable[Comparison]:
        titles = tuple(
            f"{results.experiments[name]['title']} ({results.experiments[name]['model']})"
            for name in (here, there)
        )
        for baseline in self.baselines:
            if baseline in tables[here] and baseline in tables[there]:
                behind, ahead = (
                    100 * (tables[name][self.method] - tables[name][baseline])
                    for name in (here, there)
                )
                what = f"growth of {_minus(results, self.method, baseline)}"
                yield Comparison(f"{what} from {titles[0]} to {titles[1]}", titles, ahead, behind)


def _ends(
    axis: str, places: Mapping[str, int], entries: Mapping[str, Mapping[str, Any]]
) -> Iterable[tuple[str, str]]:
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


def _label(results: Results, method: str) -> str:
    return results.full_label(method) if method in results.methods else method


def _minus(results: Results, a: str, b: str) -> str:
    return f"{_label(results, a)} − {_label(results, b)}"


Test = Annotated[
    Lead
    | Rounds
    | Newcomers
    | Growth
    | EveryRound
    | Steadiness
    | LeftOut
    | Traffic
    | AdapterSize
    | Served,
    Field(discriminator="kind"),
]


# Files -----------------------------------------------------------------------------------------
class PaperClaim(Strict):
    """An entry of claims.yaml; ``scale`` is the smallest at which the claim is decidable."""

    id: str
    text: str
    source: str
    status: Literal["published", "second-hand"]
    scale: Literal[SCALES]
    test: Test
    tried: list[str] = Field(default_factory=list)


def load_claims(path: str | Path) -> list[PaperClaim]:
    """The claims of a paper's claims.yaml.

    Raises:
        UserError: names the file, the claim and each faulty key, with the way out.
    """
    raw = read_yaml(path)
    if not isinstance(raw, list):
        raise UserError(f"{path} must be a list of claims; see docs/claims.md")
    claims = []
    for number, entry in enumerate(raw, start=1):
        known = isinstance(entry, dict) and "id" in entry
        name = entry["id"] if known else f"number {number}"
        claims.append(checked(PaperClaim, entry, f"{path}: claim {name}"))
        if claims[-1].id in [claim.id for claim in claims[:-1]]:
            raise UserError(f"{path}: claim {name} stands twice: give each its own id")
    return claims


# Verdicts --------------------------------------------------------------------------------------
def judge(claims: Sequence[PaperClaim], evidence: Evidence) -> list[Claim]:
    """The claims with verdict and evidence, in their order."""
    return [_judged(claim, evidence) for claim in claims]


def _judged(claim: PaperClaim, evidence: Evidence) -> Claim:
    from fedgenbench.report.results import distinct
    from fedgenbench.report.verdicts import Claim

    scales = distinct(evidence.main.runs, "scale")
    if any(SCALES.index(scale) < SCALES.index(claim.scale) for scale in scales):
        verdict, sentences = "not testable here", [f"Decidable from {claim.scale} scale on."]
    else:
        verdict, sentences = _verdict(claim.test, evidence)
    sentences.append(f"Scale: {' and '.join(scales) or 'no run'}.")
    if verdict == "contradicted":
        sentences += [f"Tried: {sentence}" for sentence in claim.tried]
    source = f"{claim.source} ({claim.status})"
    return Claim(claim.id, claim.text, source, verdict, " ".join(sentences))


def _verdict(test: Test, evidence: Evidence) -> tuple[str, list[str]]:
    """The verdict on a conjunction: every difference lies above ``test.asked``.

    All have to, so each is tested at the full level for "supported". One that lies below is enough
    for "contradicted", so there the level is Bonferroni's over all of them.
    """
    from fedgenbench.report.statistics import SEEDS

    found, results = test.compare(evidence), evidence.main
    missing = [f"Missing: {'; '.join(dict.fromkeys(found.missing))}."] if found.missing else []
    if not found.comparisons:
        return "not testable here", missing
    total = len(found.comparisons)
    able = [comparison for comparison in found.comparisons if len(comparison.seeds) >= SEEDS]
    if len(able) < total:
        few = f"{total - len(able)} of {total} comparisons have" if total > 1 else "It has"
        missing.append(f"{few} fewer than {SEEDS} common seeds.")
    if not able:
        return "undecided", missing
    strict = 1 - (1 - results.confidence) / len(able)
    # (what is compared, its interval, its interval corrected for the number of comparisons)
    judged = [(c, c.interval(results.confidence), c.interval(strict)) for c in able]
    above = sum(plain.low > test.asked for _, plain, _ in judged)
    closest = min(judged, key=lambda entry: entry[1].low)
    worst = min(judged, key=lambda entry: entry[2].high)
    if worst[2].high < test.asked:
        verdict, (decisive, plain, corrected) = "contradicted", worst
    elif above == total and not found.missing:
        verdict, (decisive, plain, corrected) = "supported", closest
    else:
        verdict, (decisive, plain, corrected) = "undecided", closest
    titles = dict.fromkeys(title for comparison in able for title in comparison.titles)
    level = f"{results.level} interval over seeds {', '.join(map(str, decisive.seeds))}"
    if len(able) > 1 and verdict != "supported":
        level += f"; ± {_number(corrected.half)} corrected for {len(able)} comparisons"
    return verdict, [
        f"Decisive: {decisive.what} = {_number(plain.mean)} ± {_number(plain.half)} {test.unit} "
        f"({level}).",
        f"{_share(above, total)} above the {_number(test.asked)} {test.unit} asked "
        f"(on {'; '.join(titles)}).",
        *(["The part that was run holds."] if above == total and verdict == "undecided" else []),
        *found.notes,
        *missing,
    ]


def _share(above: int, total: int) -> str:
    """How many of the intervals lie above, in words."""
    if total == 1:
        return "The interval lies" if above else "The interval does not lie"
    return f"{above} of {total} intervals {'lies' if above == 1 else 'lie'}"


def _number(value: float) -> str:
    """One decimal, with a true minus and no minus zero."""
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "−")
