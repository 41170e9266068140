"""Runs to tidy tables: what every table, figure and report is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fedgenbench.errors import UserError
from fedgenbench.runtime.files import read_json, sha256_file

SERVER = ("experiment", "method", "seed", "round", "name", "client", "value")
WEIGHTS = ("experiment", "seed", "fit", "rule", "eta", "start", "metric", "client", "value")
NEWCOMERS = (
    *("experiment", "seed", "arm", "steps", "omega"),
    *("stage", "round", "client", "value"),
)
METRICS = ("personal", "start", "trained", "global")


def collect(
    runs: Mapping[tuple[str, str, int], Path],
    expected: Mapping[tuple[str, str, int], str],
    domains: Mapping[str, list[str] | None],
    scale: str,
) -> dict[str, pd.DataFrame]:
    """Scores, accuracies per round, one row per run, and what servers report of themselves.

    Args:
        runs: (experiment, method, seed) -> folder with metrics.json and run.json.
        expected: the digests that the runs must repeat.
        domains: experiment -> each client's domain, or None where clients are not domains.
        scale: written into every run's row.

    Raises:
        UserError: names a run whose files do not belong together or to the settings.
    """
    scores, rounds, facts, server = [], [], [], []
    for key, folder in runs.items():
        metrics, run = read_json(folder / "metrics.json"), read_json(folder / "run.json")
        if run.get("metrics_sha256") != sha256_file(folder / "metrics.json"):
            raise UserError(
                f"{folder}/metrics.json is not what {folder}/run.json was written with: delete the "
                "folder and run again"
            )
        if metrics["digest"] != expected[key] or run["digest"] != expected[key]:
            raise UserError(
                f"{folder} was made by other code or settings (digest {metrics['digest']}, "
                f"expected {expected[key]}): delete the folder and run again"
            )
        experiment, method, seed = key
        base = {"experiment": experiment, "method": method, "seed": seed}
        where = domains[experiment]
        for metric, values in metrics["score"].items():
            scores += _rows(base | {"metric": metric}, values, where)
        for entry in metrics["rounds"]:
            for metric in METRICS:
                if metric in entry:
                    label = base | {"metric": metric, "round": entry["round"]}
                    rounds += _rows(label, entry[metric], where)
            server += _server_rows(base | {"round": entry["round"]}, entry.get("server", {}))
        facts.append(base | {"scale": scale} | _facts(metrics, run))
    return {
        "scores": pd.DataFrame(scores),
        "rounds": pd.DataFrame(rounds),
        "runs": pd.DataFrame(facts),
        "server": pd.DataFrame(server, columns=SERVER),
    }


def _server_rows(base: dict[str, Any], audit: dict[str, Any]) -> list[dict]:
    """A row per number: of a client, by its place in ``clients`` where that is said, or of none (-1)."""
    ids = audit.get("clients")
    rows = []
    for name, value in audit.items():
        if name == "clients":
            continue
        values = value if isinstance(value, list) else [value]
        # Accuracies are of all clients; what was generated is of those that took part.
        who = (
            [-1] if value is not values else ids if len(values) == len(ids) else range(len(values))
        )
        rows += [
            base | {"name": name, "client": client, "value": float(number)}
            for client, number in zip(who, values, strict=True)
        ]
    return rows


def _rows(base: dict[str, Any], values: list[float], domains: list[str] | None) -> list[dict]:
    """One row per client, and one with client -1 for their plain mean."""
    named = domains or [None] * len(values)
    return [
        {**base, "client": client, "domain": domain, "value": value}
        for client, (domain, value) in enumerate(
            zip([None, *named], [float(np.mean(values)), *values], strict=True), start=-1
        )
    ]


def _facts(metrics: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    settings = metrics["settings"]
    return {
        "digest": metrics["digest"],
        "rounds": settings["rounds"],
        "engine": settings["engine"],
        "device": run["device"],
        "hardware": run["cpu"] if run["device"] == "cpu" else run["device"],
        "wall_seconds": run["wall_seconds"],
        "peak_memory_bytes": run["peak_memory_bytes"],
        "bytes_up": metrics["bytes_up"],
        "bytes_down": metrics["bytes_down"],
        "refused": sum(len(entry.get("refused", {})) for entry in metrics["rounds"]),
        "torch": run["versions"]["torch"],
        "git_revision": run["git_revision"],
        "git_dirty": run["git_dirty"],
        "started": run["started"],
    }


def study_frames(studies: Iterable[tuple[str, str, str, int, str]]) -> dict[str, pd.DataFrame]:
    """The one-shot studies and the newcomers as tidy tables, columns ``WEIGHTS`` and ``NEWCOMERS``.

    ``studies`` are (file, digest, experiment, seed, name); the name "newcomers" is theirs, any other a
    fit's. A client of -1 is the mean over clients, or says that a number is of none.

    Raises:
        UserError: names a file that does not belong to the settings.
    """
    weights, newcomers = [], []
    for file, digest, experiment, seed, name in studies:
        content = read_json(Path(file))
        if content["digest"] != digest:
            raise UserError(
                f"{file} was made by other code or settings (digest {content['digest']}, expected "
                f"{digest}): delete it and run again"
            )
        base = {"experiment": experiment, "seed": seed}
        if name == "newcomers":
            newcomers += [base | row for row in content["rows"]]
        elif "rows" in content:
            for row in content["rows"]:
                label = base | {"fit": name} | {key: row[key] for key in ("rule", "eta", "start")}
                for metric in sorted(row.keys() - label.keys()):
                    weights += _by_client(label | {"metric": metric}, row[metric])
        else:
            weights += _fit_rows(base | {"fit": name, "rule": "fit"}, content)
    joined = pd.DataFrame(newcomers, columns=NEWCOMERS)
    keys = [column for column in NEWCOMERS if column not in ("client", "value")]
    means = joined.groupby(keys, as_index=False, dropna=False)["value"].mean().assign(client=-1)
    frames = {"weights": pd.DataFrame(weights, columns=WEIGHTS)}
    frames["newcomers"] = pd.concat([joined, means], ignore_index=True)[list(NEWCOMERS)]
    for frame, numbers in (("weights", ("eta", "start")), ("newcomers", ("steps", "omega"))):
        frames[frame] = frames[frame].astype(dict.fromkeys(numbers, "float64"))
    return frames


def _by_client(label: dict[str, Any], values: list[float]) -> list[dict]:
    return [label | {"client": c, "value": float(v)} for c, v in enumerate(values)]


def _fit_rows(label: dict[str, Any], content: dict[str, Any]) -> list[dict]:
    """What is said of a fit, as a row per number."""
    numbers = {
        name: content[name] for name in ("loss", "held_out_loss", "seen_loss", "held_out_error")
    }
    for name, metric in (("reconstructed", "reconstruction"), ("uploads", "upload")):
        for part, values in content[name].items():
            numbers[f"{metric}_{part}"] = float(np.mean(values))
    return [label | {"metric": m, "client": -1, "value": v} for m, v in numbers.items()]


def client_domains(scheme: Mapping[str, Any], card: Mapping[str, Any]) -> list[str] | None:
    """Each client's domain under a partition scheme that deals by domain."""
    if scheme["scheme"] == "domain":
        return list(card["domains"])
    if scheme["scheme"] == "domain_shards":
        return [name for name in card["domains"] for _ in range(scheme["clients_per_domain"])]
    return None


def summary(scores: pd.DataFrame, rounds: pd.DataFrame) -> tuple[dict[str, Any], pd.DataFrame]:
    """Mean accuracy over clients and seeds: experiment -> method -> metric, and by round.

    Both depend on the runs' accuracies alone: equal on two machines means reproduced.
    """
    metrics: dict[str, Any] = {}
    overall = scores[scores["client"] == -1]
    for keys, values in overall.groupby(["experiment", "method", "metric"])["value"]:
        experiment, method, metric = keys
        metrics.setdefault(experiment, {}).setdefault(method, {})[metric] = float(values.mean())
    overall = rounds[(rounds["client"] == -1) & (rounds["metric"] == "personal")]
    curves = overall.groupby(["experiment", "method", "round"], as_index=False)["value"].mean()
    return metrics, curves.rename(columns={"value": "accuracy"})
