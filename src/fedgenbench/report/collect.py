"""Jobs' metrics to one tidy table: what every table, figure and report is made from."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fedgenbench.core.answers import KEY
from fedgenbench.core.errors import UserError
from fedgenbench.core.measurements import COLUMNS, MEASURED, Measurement, Measures
from fedgenbench.core.reports import whole_report

# Of a job's record, what comes out otherwise the next time.
MEASURED_OF_JOBS = ("wall_seconds", "cpu_seconds", "peak_memory_bytes", "started")
ADDRESS = ("experiment", "job", "name", "seed", "client")
ANSWERS = (*ADDRESS, "model", "sha256", "images", "answers")
Address = Mapping[str, Any]


def read_jobs(listing: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Address, Mapping[str, Any]]]:
    """The address of each job and its metrics with its record, checked.

    ``listing`` has kind, experiment, name, seed, client, digest and folder of each job.

    Raises:
        UserError: names a file that does not belong to the settings, or two jobs of one address.
    """
    seen = set()
    for kind, experiment, name, seed, client, digest, folder in listing:
        address = dict(zip(ADDRESS, (experiment, kind, name, seed, client), strict=True))
        if (place := tuple(address.values())) in seen:
            raise UserError(f"{folder} is not the only one of its kind, seed and name: list one")
        seen.add(place)
        yield address, whole_report(Path(folder) / "metrics.json", digest)


def collect(
    jobs: Iterable[tuple[Address, Mapping[str, Any]]],
    measures: Measures,
    domains: Mapping[str, list[str] | None],
    scale: str,
) -> dict[str, pd.DataFrame]:
    """``measurements`` of all jobs in the columns of ``core.measurements``, ``jobs``, their records, and
    ``answers``, a row per model that was scored: which test images it gets right, packed.

    Args:
        jobs: as ``read_jobs`` gives them.
        measures: kind of job -> what its metrics say in numbers; a kind that is not there says none.
        domains: experiment -> each client's domain, or None where clients are not domains.
        scale: written into every job's record.
    """
    rows, records = [], []
    answers: list[tuple[Any, ...]] = []
    for address, metrics in jobs:
        where = domains.get(address["experiment"])
        if said := measures.get(address["job"]):
            rows += [_row(address, where, measurement) for measurement in said(metrics)]
        records.append(dict(address) | {"scale": scale} | _record(metrics))
        answers += _answers(address, metrics)
    names = list(COLUMNS)
    return {
        "measurements": pd.DataFrame(rows, columns=names).astype(_without_text(COLUMNS)),
        "jobs": pd.DataFrame(records)
        if records
        else pd.DataFrame(columns=list(RECORD_OF_JOBS)).astype(_NUMBERS),
        "answers": pd.DataFrame(answers, columns=list(ANSWERS)),
    }


def _answers(address: Address, metrics: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The models of a job; ``images`` counts each client's, ``sha256`` says which they are."""
    if said := metrics.get(KEY):
        for model, bits in said["rows"].items():
            yield *address.values(), model, said["sha256"], said["images"], base64.b64decode(bits)


def _row(address: Address, domains: list[str] | None, said: Measurement) -> tuple[Any, ...]:
    domain = domains[said.client] if domains and said.client >= 0 else None
    return (
        *(address["experiment"], address["job"], address["name"], address["seed"], said.row),
        *(said.client, domain, said.round, said.step, said.level, said.quantity, said.value),
    )


def _without_text(columns: Mapping[str, str]) -> dict[str, str]:
    return {name: kind for name, kind in columns.items() if kind != "str"}


# Types of a table of no job; else the values have theirs.
_NUMBERS = dict.fromkeys(("seed", "client"), "int64")
_NUMBERS |= dict.fromkeys(MEASURED_OF_JOBS[:-1], "float64")
RECORD_OF_JOBS = (
    *ADDRESS,
    *("scale", "digest", "metrics_sha256", "settings"),
    *("rounds", "engine", "device", "hardware"),
    *MEASURED_OF_JOBS,
    *("torch", "git_revision", "git_dirty"),
)


def _record(metrics: Mapping[str, Any]) -> dict[str, Any]:
    settings = metrics["settings"]
    return {
        "digest": metrics["digest"],
        "metrics_sha256": metrics["report_sha256"],
        "settings": json.dumps(settings, sort_keys=True),
        "rounds": settings.get("rounds"),
        "engine": settings.get("engine"),
        "device": metrics["device"],
        "hardware": metrics["cpu"] if metrics["device"] == "cpu" else metrics["device"],
        **{column: metrics[column] for column in MEASURED_OF_JOBS},
        "torch": metrics["versions"]["torch"],
        "git_revision": metrics["git_revision"],
        "git_dirty": metrics["git_dirty"],
    }


def without_measured(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The frames without what was measured of the machine, which stands in frames of its own."""
    measured = frames["measurements"]["quantity"].isin(MEASURED)
    return {
        "measurements": frames["measurements"][~measured],
        "measured": frames["measurements"][measured],
        "answers": frames["answers"],
        "jobs": frames["jobs"].drop(columns=list(MEASURED_OF_JOBS)),
        "measured_jobs": frames["jobs"][[*ADDRESS, *MEASURED_OF_JOBS]],
    }


def with_measured(parts: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The frames again of which ``without_measured`` made ``parts``; rows in another order."""
    joined = [part for part in (parts["measurements"], parts["measured"]) if not part.empty]
    return {
        "measurements": pd.concat(joined, ignore_index=True) if joined else parts["measurements"],
        "jobs": parts["jobs"].merge(parts["measured_jobs"], on=list(ADDRESS), validate="1:1"),
        "answers": parts["answers"],
    }


def client_domains(
    scheme: Mapping[str, Any], card: Mapping[str, Any], without: int | None = None
) -> list[str] | None:
    """Each client's domain under a partition scheme that deals by domain.

    ``without`` is the place of a domain that is left out and has no client.
    """
    if scheme["scheme"] == "domain":
        return [name for place, name in enumerate(card["domains"]) if place != without]
    if scheme["scheme"] in ("domain_shards", "domain_dirichlet"):
        return [name for name in card["domains"] for _ in range(scheme["clients_per_domain"])]
    return None


def summary(
    scores: pd.DataFrame, rounds: pd.DataFrame, fedlmg: pd.DataFrame
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Mean accuracy over clients and seeds: experiment -> method -> model, and by round.

    A model is the clients' own (personal) or the server's (global). FedLMG's methods are the rows of
    its server, an ablation's with its name in front, and its model is global. All depends on
    accuracies alone: equal on two machines means reproduced.
    """
    metrics: dict[str, Any] = {}
    overall = scores[(scores["client"] == -1) & scores["metric"].isin(["global", "personal"])]
    for keys, values in overall.groupby(["experiment", "method", "metric"])["value"]:
        experiment, method, metric = keys
        metrics.setdefault(experiment, {}).setdefault(method, {})[metric] = float(values.mean())
    overall = fedlmg[(fedlmg["client"] == -1) & (fedlmg["quantity"] == "accuracy")]
    for (experiment, name, row), values in overall.groupby(["experiment", "name", "row"])["value"]:
        method = row if name == "main" else f"{name}/{row}"
        metrics.setdefault(experiment, {})[method] = {"global": float(values.mean())}
    overall = rounds[(rounds["client"] == -1) & (rounds["metric"] == "personal")]
    curves = overall.groupby(["experiment", "method", "round"], as_index=False)["value"].mean()
    return metrics, curves.rename(columns={"value": "accuracy"})
