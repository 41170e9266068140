"""What tables, figures and reports are made from: the collected runs, checked once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from fedgenbench.core.errors import UserError
from fedgenbench.core.wording import counted
from fedgenbench.report.collect import ANSWERS
from fedgenbench.report.statistics import Interval, mean_interval, significantly_best

FAMILIES = {
    "control": "Controls",
    "global": "Global methods",
    "personalised": "Personalised methods",
    "variant": "Variants",
}
METRICS = {
    "personal": "Personalised",
    "start": "Received model",
    "trained": "Trained model",
    "adapted": "Adapted model",
    "global": "Global",
}

_SCORES = ("experiment", "method", "seed", "metric", "client", "domain", "value")
_RUNS = (
    *("experiment", "method", "seed", "digest", "scale", "rounds", "engine", "device", "hardware"),
    *("wall_seconds", "peak_memory_bytes"),
    *("bytes_up", "bytes_down", "bytes_up_once", "bytes_down_once"),
    *("torch", "git_revision", "git_dirty", "started"),
)


SERVER = ("experiment", "method", "seed", "round", "name", "client", "value")
WEIGHTS = ("experiment", "seed", "fit", "rule", "eta", "start", "metric", "client", "value")
NEWCOMERS = (
    *("experiment", "seed", "arm", "steps", "omega"),
    *("stage", "round", "client", "value"),
)
SYNTHESIS = ("experiment", "seed", "kind", "client", "name", "value")
FEDLMG = (
    *("experiment", "seed", "kind", "name", "row"),
    *("client", "step", "quantity", "value"),
)


@dataclass(frozen=True)
class Picture:
    """A file of an experiment that is shown as it is or drawn from; ``name`` says what it shows.

    says: what examined.json says of its rows and columns (docs/privacy.md).
    """

    experiment: str
    seed: int
    name: str
    path: str
    says: Any


@dataclass(frozen=True, eq=False)
class Results:
    """The collected runs of one grid.

    scores: one row per run, metric and client (client -1 is the plain mean over clients); ``value``
        is an accuracy in [0, 1], ``domain`` the client's domain or None.
    rounds: the same per evaluated ``round``; round 0, if there, is before the first one.
    runs: one row per run; ``bytes_up`` and ``bytes_down`` are means per client and round,
        ``bytes_up_once`` and ``bytes_down_once`` means per client of what travels before the rounds.
    experiments: id -> title, role, dataset, classes, clients, partition, rounds, local, model, note.
        Roles are "main"; "tuning": scored on validation images; "scale": ``base`` with another
        number of clients; "left_out": ``base`` without the domain ``left_out``, which is the test;
        "variants": of variants alone, in tables of their own;
        "oneshot": FedLMG's alone, without rounds, and with what ``fedlmg_setups`` says as ``fedlmg``.
    methods: id -> label, family (a key of ``FAMILIES``), source; a variant also ``of``, the method it
        is one of, ``start``: "warm", "scratch", or None where that is the method's own, and
        ``statistics``: "running", or None where batch norm's are as the experiment has them.
    expected: (experiment, method, seed) -> digest of the code and settings of today.
    confidence: of every interval over seeds.
    server: what methods' servers report of themselves: a row per run, round, name and client
        (-1: not of one client).
    weights: the one-shot studies on saved uploads: a row per fit, rule, metric and client.
    newcomers: accuracy of clients that join late, by arm, stage, round and client (-1: their mean).
    newcomer_main: the number of guided steps and the strength of guidance that count as the main ones.
    synthesis: adapters, synthetic images, warm starts and what was examined of them: a row per
        experiment, seed, kind, client (-1: of none, or the mean) and name.
    fedlmg: classifiers, guided images and servers' models, as ``fedlmg_frame`` gives them.
    frames: what other systems make of their measurements, by name; each has a column ``experiment``.
    answers: which test images each model that was scored gets right, as ``collect`` gives them.
    absent: experiments without runs here -> title, dataset, clients, reason; with ``warmfed`` true
        where they belong to WarmFed, and then role, and ``leave_one_out``: whether they would be run
        without each domain. FedLMG's have the role "oneshot".
    pictures: files of the first seed that are shown as they are or drawn from.
    whole: what this is a part of; ``select`` sets it.

    Raises UserError for a missing column, an unknown experiment, method or family, a run that is
    there twice and one of another digest than the expected.
    """

    scores: pd.DataFrame
    rounds: pd.DataFrame
    runs: pd.DataFrame
    experiments: Mapping[str, Mapping[str, Any]]
    methods: Mapping[str, Mapping[str, str]]
    expected: Mapping[tuple[str, str, int], str]
    confidence: float = 0.95
    server: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=SERVER))
    weights: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=WEIGHTS))
    newcomers: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=NEWCOMERS))
    newcomer_main: tuple[int, float] | None = None
    synthesis: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=SYNTHESIS))
    fedlmg: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=FEDLMG))
    frames: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    answers: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=ANSWERS))
    absent: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    whole: "Results | None" = None

    def __post_init__(self) -> None:
        frames = {
            "scores": (self.scores, _SCORES),
            "rounds": (self.rounds, (*_SCORES, "round")),
            "runs": (self.runs, _RUNS),
            "server": (self.server, SERVER),
            "weights": (self.weights, WEIGHTS),
            "newcomers": (self.newcomers, NEWCOMERS),
            "synthesis": (self.synthesis, SYNTHESIS),
            "fedlmg": (self.fedlmg, FEDLMG),
            "answers": (self.answers, ANSWERS),
        }
        for name, (frame, columns) in frames.items():
            if missing := [column for column in columns if column not in frame]:
                raise UserError(
                    f"the collected {name} lack {counted(len(missing), 'column')}, "
                    f"{', '.join(missing)}: "
                    "run the collect rule again"
                )
            for column, known in (("experiment", self.experiments), ("method", self.methods)):
                if column not in frame:
                    continue
                if unknown := sorted(set(frame[column]) - set(known)):
                    raise UserError(
                        f"the collected {name} hold {counted(len(unknown), column)} that the "
                        f"settings do not name, {', '.join(unknown)}: run the collect rule again"
                    )
        if self.scores.duplicated(["experiment", "method", "seed", "metric", "client"]).any():
            raise UserError("the collected scores hold a run twice: run the collect rule again")
        for method, entry in self.methods.items():
            if entry["family"] not in FAMILIES:
                raise UserError(
                    f"method {method} has the family {entry['family']!r}: "
                    f"use one of {', '.join(FAMILIES)}"
                )
        if stale := self._stale():
            raise UserError(
                f"{counted(len(stale), 'run')} of other code or settings than today's: "
                f"{'; '.join(stale[:5])}{'; …' if len(stale) > 5 else ''}. Run the "
                "workflow again to renew them."
            )

    def _stale(self) -> list[str]:
        """The runs whose digest is not the expected one, in words."""
        stale = []
        for run in self.runs.itertuples():
            expected = self.expected.get((run.experiment, run.method, run.seed))
            if run.digest != expected:
                stale.append(
                    f"{run.experiment}, {run.method}, seed {run.seed} "
                    f"(digest {run.digest}, expected {expected or 'none'})"
                )
        return stale

    def select(
        self,
        experiments: Collection[str] | None = None,
        methods: Collection[str] | None = None,
    ) -> "Results":
        """The part on some experiments or methods, in the order of the settings."""
        experiments = self.experiments if experiments is None else experiments
        methods = self.methods if methods is None else methods

        def keep(frame: pd.DataFrame) -> pd.DataFrame:
            kept = frame["experiment"].isin(experiments)
            return frame[kept & frame["method"].isin(methods) if "method" in frame else kept]

        return replace(
            self,
            scores=keep(self.scores),
            rounds=keep(self.rounds),
            runs=keep(self.runs),
            server=keep(self.server),
            weights=keep(self.weights),
            newcomers=keep(self.newcomers),
            synthesis=keep(self.synthesis),
            fedlmg=keep(self.fedlmg),
            answers=keep(self.answers),
            frames={name: keep(frame) for name, frame in self.frames.items()},
            pictures=[picture for picture in self.pictures if picture.experiment in experiments],
            experiments={key: v for key, v in self.experiments.items() if key in experiments},
            methods={key: v for key, v in self.methods.items() if key in methods},
            whole=self.whole or self,
        )

    @property
    def main_runs(self) -> "Results":
        """The part that claims are judged by: without tuning, whose scores chose settings."""
        entries = self.experiments.items()
        return self.select([key for key, v in entries if v.get("role", "main") == "main"])

    @property
    def main(self) -> "Results":
        """The part that is scored on test images, without variants."""
        return self.select(
            experiments=[key for key, entry in self.experiments.items() if entry["role"] == "main"],
            methods=[key for key, entry in self.methods.items() if entry["family"] != "variant"],
        )

    def picture(self, experiment: str, name: str) -> Picture | None:
        """What shows ``name`` of ``experiment``, if there is anything."""
        for picture in self.pictures:
            if (picture.experiment, picture.name) == (experiment, name):
                return picture
        return None

    def family(self, family: str) -> list[str]:
        return [key for key, entry in self.methods.items() if entry["family"] == family]

    def place(self, method: str) -> int:
        """The method's place in its family, the same in every part of the results."""
        whole = self.whole or self
        return whole.family(self.methods[method]["family"]).index(method)

    def label(self, method: str) -> str:
        return self.methods[method]["label"]

    def full_label(self, method: str) -> str:
        """The label; a variant's with its method's, such as ``WarmFed, no teacher``."""
        label, of = self.label(method), self.methods[method].get("of")
        known = (self.whole or self).methods
        if of is None or of not in known or label.startswith(known[of]["label"]):
            return label
        return f"{known[of]['label']}, {label}"

    @property
    def level(self) -> str:
        """The confidence as text, e.g. ``95 %``."""
        return f"{100 * self.confidence:g} %"

    def interval(self, by_seed: pd.Series) -> Interval:
        """Mean and interval over the seeds that have a value, with these values where they stand
        under the names of seeds."""
        known = by_seed.dropna()
        interval = mean_interval(known, self.confidence)
        if known.index.name != "seed":
            return interval
        return replace(interval, by_seed={int(seed): float(v) for seed, v in known.items()})

    def best(self, by_seed: pd.DataFrame) -> set[str]:
        """The method to print bold among the columns, controls left out."""
        contenders = by_seed.drop(columns=self.family("control"), errors="ignore")
        return significantly_best(contenders, self.confidence)

    def guess(self, experiment: str) -> Interval:
        """Accuracy of a random guess: computed, so without seeds and interval."""
        return Interval(1 / self.experiments[experiment]["classes"], None, None, 0)

    def by_seed(self, experiment: str, metric: str, domain: str | None = None) -> pd.DataFrame:
        """Accuracy, one row per seed and one column per method that has it.

        Without ``domain`` it is the plain mean over clients, else the mean over that domain's.
        """
        frame = self.scores
        frame = frame[(frame["experiment"] == experiment) & (frame["metric"] == metric)]
        if domain is None:
            frame = frame[frame["client"] == -1]
        else:
            frame = frame[(frame["client"] >= 0) & (frame["domain"] == domain)]
        table = frame.groupby(["seed", "method"])["value"].mean().unstack()
        return table[[method for method in self.methods if method in table]]

    def run_seconds(self, experiment: str) -> pd.DataFrame:
        """Wall-clock seconds of whole runs, seeds by methods."""
        runs = self.runs[self.runs["experiment"] == experiment]
        return runs.pivot(index="seed", columns="method", values="wall_seconds")

    def domains(self, experiment: str) -> list[str]:
        frame = self.scores[self.scores["experiment"] == experiment].sort_values("client")
        return frame["domain"].dropna().unique().tolist()


def distinct(runs: pd.DataFrame, column: str) -> list[str]:
    return sorted(set(runs[column].dropna()))
