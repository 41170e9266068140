"""Runs to tidy tables: what every table, figure and report is made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, sha256_file
from fedgenbench.core.reports import whole_report

SCORES = ("experiment", "method", "seed", "metric", "client", "domain", "value")
ROUNDS = ("experiment", "method", "seed", "metric", "round", "client", "domain", "value")
# What comes out otherwise the next time, apart from the rest: columns of runs, quantities of others.
MEASURED_RUNS = ("wall_seconds", "cpu_seconds", "peak_memory_bytes", "started")
RUNS = (
    *("experiment", "method", "seed", "scale", "digest", "rounds", "engine", "device", "hardware"),
    *MEASURED_RUNS,
    *("bytes_up", "bytes_down", "bytes_up_once", "bytes_down_once", "refused"),
    *("torch", "git_revision", "git_dirty"),
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
_TYPES = dict.fromkeys(("seed", "client", "round", "refused"), "int64")
_TYPES |= dict.fromkeys(("value", *MEASURED_RUNS[:-1]), "float64")
_TYPES |= dict.fromkeys(("bytes_up", "bytes_down", "bytes_up_once", "bytes_down_once"), "float64")
# Guidances and rivals of which images are shown, but for FedDISC's from the same noise.
GUIDED = ("prompts", "fgl", "feddisc", "feddeo", "no_editing", "main")
METRICS = ("personal", "start", "trained", "global")
MEASURED = ("wall_seconds", "seconds_per_image", "client_seconds")
_NAMED_BY = {"synthesis": "name", "fedlmg": "quantity"}
_RUN = ["experiment", "method", "seed"]


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
        "scores": _frame(scores, SCORES),
        "rounds": _frame(rounds, ROUNDS),
        "runs": _frame(facts, RUNS),
        "server": _frame(server, SERVER),
    }


def _frame(rows: list[dict], columns: tuple[str, ...]) -> pd.DataFrame:
    """``rows`` as a table, which has its columns and their types without rows, too."""
    if rows:
        return pd.DataFrame(rows)
    return pd.DataFrame(columns=columns).astype(
        {name: kind for name, kind in _TYPES.items() if name in columns}
    )


def _server_rows(base: dict[str, Any], audit: dict[str, Any]) -> list[dict]:
    """A row per number: of a client, by its place in ``clients`` where that is said, or of none (-1)."""
    ids = audit.get("clients", ())
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
        **{column: run[column] for column in MEASURED_RUNS},
        "bytes_up": metrics["bytes_up"],
        "bytes_down": metrics["bytes_down"],
        "bytes_up_once": metrics["bytes_up_once"],
        "bytes_down_once": metrics["bytes_down_once"],
        "refused": sum(len(entry.get("refused", {})) for entry in metrics["rounds"]),
        "torch": run["versions"]["torch"],
        "git_revision": run["git_revision"],
        "git_dirty": run["git_dirty"],
    }


def without_measured(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The frames without what was measured, which stands in frames of its own, ``measured_...``."""
    parts = dict(frames)
    parts["runs"] = frames["runs"].drop(columns=list(MEASURED_RUNS))
    parts["measured_runs"] = frames["runs"][[*_RUN, *MEASURED_RUNS]]
    for name, column in _NAMED_BY.items():
        measured = frames[name][column].isin(MEASURED)
        parts[name], parts[f"measured_{name}"] = frames[name][~measured], frames[name][measured]
    return parts


def with_measured(parts: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The frames again of which ``without_measured`` made ``parts``; rows in another order."""
    frames = {name: part for name, part in parts.items() if not name.startswith("measured_")}
    frames["runs"] = parts["runs"].merge(parts["measured_runs"], on=_RUN, validate="1:1")
    for name in _NAMED_BY:
        joined = [part for part in (parts[name], parts[f"measured_{name}"]) if not part.empty]
        frames[name] = pd.concat(joined, ignore_index=True) if joined else parts[name]
    return frames


def study_frames(studies: Iterable[tuple[str, str, str, int, str]]) -> dict[str, pd.DataFrame]:
    """The one-shot studies and the newcomers as tidy tables, columns ``WEIGHTS`` and ``NEWCOMERS``.

    ``studies`` are (file, digest, experiment, seed, name); the name "newcomers" is theirs, any other a
    fit's. A client of -1 is the mean over clients, or says that a number is of none.

    Raises:
        UserError: names a file that does not belong to the settings.
    """
    weights, newcomers = [], []
    for file, digest, experiment, seed, name in studies:
        content = whole_report(file, digest)
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


def synthesis_frame(sources: Iterable[tuple[str, str, str, int, str, int]]) -> pd.DataFrame:
    """Adapters, synthetic images, warm starts and what was examined of them, columns ``SYNTHESIS``.

    ``sources`` are (file, digest, experiment, seed, kind, client), the kind one of "adapter", "images",
    "prompts", "warm" and "examined". A client of -1 says that a number is of none, or of the mean.

    Raises:
        UserError: names a file that does not belong to the settings, or an unknown kind, or one that
            says again what another one has said.
    """
    rows, seen = [], set()
    for file, digest, experiment, seed, kind, client in sources:
        content = whole_report(file, digest)
        base = {"experiment": experiment, "seed": seed}
        place = (experiment, seed, kind, client, content.get("kind"))
        if place in seen:
            raise UserError(f"{file} is not the only one of its kind, seed and client: list one")
        seen.add(place)
        if kind == "examined":
            rows += [base | {key: row[key] for key in SYNTHESIS[2:]} for row in content["rows"]]
            continue
        if kind not in _MADE:
            raise UserError(
                f"{file} is of the unknown kind {kind!r}: use one of {', '.join(_MADE)}"
            )
        numbers = {name: content[name] for name in _MADE[kind]}
        numbers["wall_seconds"] = content["wall_seconds"]
        if kind == "adapter":
            numbers["classes"] = len(content["classes"])
            numbers |= _ends([entry["loss"] for entry in content["history"]])
        base |= {"kind": kind}
        if kind == "warm":
            base["kind"] = f"warm_{content['kind']}"
            numbers |= _ends(content["losses"])
        base["client"] = client
        rows += [base | {"name": name, "value": float(value)} for name, value in numbers.items()]
    return pd.DataFrame(rows, columns=SYNTHESIS)


# What each kind's report says in numbers, beside its wall seconds.
_MADE = {
    "adapter": ("images", "parameters", "adapter_bytes", "embedding_bytes"),
    "images": ("images", "seconds_per_image"),
    "prompts": ("images", "seconds_per_image"),
    "warm": ("images",),
}


def _ends(losses: list[float]) -> dict[str, float]:
    """The mean loss of the first and of the last tenth."""
    tenth = -(-len(losses) // 10)
    return {"first_loss": np.mean(losses[:tenth]), "last_loss": np.mean(losses[-tenth:])}


def fedlmg_frame(sources: Iterable[tuple[str, str, str, int, str, str]]) -> pd.DataFrame:
    """FedLMG's classifiers, guided images and servers' models as numbers, columns ``FEDLMG``.

    ``sources`` are (file, digest, experiment, seed, kind, name), the kind one of "classifiers",
    "guided", "rival", "dense" and "server". ``row`` is one of the report of a server, or of DENSE, or
    "likeness", which is of the images; of classifiers "client" or "prox"; else empty. A client of -1
    says that a number is of none, or the mean over clients; a step of -1 that it is of no gradient.
    Accuracies are in [0, 1].

    Raises:
        UserError: names a file that does not belong to the settings, or an unknown kind, or one that
            says again what another one has said.
    """
    rows, seen = [], set()
    for file, digest, *place in sources:
        content = whole_report(file, digest)
        if tuple(place) in seen:
            raise UserError(f"{file} is not the only one of its kind, seed and name: list one")
        seen.add(tuple(place))
        kind = place[2]
        if kind not in _SAID:
            known = ", ".join(_SAID)
            raise UserError(f"{file} is of the unknown kind {kind!r}: use one of {known}")
        said = [*_SAID[kind](content), ("", -1, -1, "wall_seconds", content["wall_seconds"])]
        rows += [(*place, *entry[:-1], float(entry[-1])) for entry in said]
    return pd.DataFrame(rows, columns=FEDLMG)


# A row of the report, a client, a step, what is said, and its value.
_Said = Iterator[tuple[str, int, int, str, float]]


def _of_classifiers(content: dict[str, Any]) -> _Said:
    for quantity in ("own_test", "images"):
        for client, value in enumerate(content[quantity]):
            yield "client", client, -1, quantity, value
    yield "client", -1, -1, "own_test", np.mean(content["own_test"])
    for name, size in content["bytes"].items():
        row = name.rstrip("0123456789")
        client = int(name.removeprefix(row))
        yield row, client, -1, "bytes", size
        yield row, client, -1, "last_loss", content["losses"][name][-1]


def _of_guidance(content: dict[str, Any]) -> _Said:
    for quantity in ("images", "seconds_per_image"):
        yield "", -1, -1, quantity, content[quantity]
    for quantity in ("cross_entropy", "batch_norm"):
        for step, value in enumerate(content[quantity]):
            yield "", -1, step, quantity, value
    for quantity in ("skipped", "gradients"):
        for client, value in content[quantity].items():
            yield "", int(client), -1, quantity, value


def _of_server(content: dict[str, Any]) -> _Said:
    for row, found in content["rows"].items():
        yield row, -1, -1, "accuracy", np.mean(found["accuracy"])
        for client, value in enumerate(found["accuracy"]):
            yield row, client, -1, "accuracy", value
        yield row, -1, -1, "images", found["images"]
    for client, found in enumerate(content.get("likeness", ())):
        for quantity, value in found.items():
            yield "likeness", client, -1, quantity, value


def _of_rival(content: dict[str, Any]) -> _Said:
    for quantity in ("images", "seconds_per_image"):
        yield "", -1, -1, quantity, content[quantity]
    for quantity in ("upload_bytes", "client_seconds"):
        for client, value in content[quantity].items():
            yield "", int(client), -1, quantity, value


_SAID = {
    "classifiers": _of_classifiers,
    "guided": _of_guidance,
    "rival": _of_rival,
    "dense": _of_server,
    "server": _of_server,
}


def fedlmg_setups(
    sources: Iterable[tuple[str, str, str, int, str, str]],
    schemes: Mapping[str, Mapping[str, Any]],
    domains: Mapping[str, list[str] | None],
) -> dict[str, dict[str, Any]]:
    """What tables say of each experiment of FedLMG beside numbers; ``sources`` as ``fedlmg_frame``.

    setting: "feature skew", "label skew", "overlapping labels", or "different architectures" whatever
        the split; names, models: of the clients; trained, server, drawn, guidance: settings;
        ablations: what each changes in the guidance, and, if there is one, ablation_per_class;
        digests: "kind name" -> one per seed; hardware, dirty: of the jobs.

    Args:
        schemes: experiment -> its partition scheme.
        domains: experiment -> each client's domain, or None.
    """
    setups: dict[str, dict[str, Any]] = {}
    for file, digest, experiment, _, kind, name in sources:
        content = whole_report(file, digest)
        setup = setups.setdefault(experiment, {"digests": {}, "hardware": [], "dirty": 0})
        setup["digests"].setdefault(f"{kind} {name}".strip(), []).append(digest)
        setup["dirty"] += content["git_dirty"] is True
        hardware = content["cpu"] if content["device"] == "cpu" else content["device"]
        setup["hardware"] = sorted({*setup["hardware"], hardware})
        settings = content["settings"]
        if kind == "classifiers":
            count, models = len(content["images"]), settings["clients"]["models"]
            setup["models"] = [models[client % len(models)] for client in range(count)]
            setup["names"] = domains[experiment] or [f"client {client}" for client in range(count)]
            setup["setting"] = _setting(setup["models"], schemes[experiment])
            setup["trained"] = settings["clients"]
        elif kind == "server" and name == "main":
            setup["server"] = settings["server"]
        elif kind == "guided":
            setup.setdefault("guided", {})[name] = settings["drawn"]["guidance"]
            if name not in ("main", "prompts"):
                setup["ablation_per_class"] = settings["drawn"]["per_class"]
            if name == "main":
                setup["drawn"] = {key: settings["drawn"][key] for key in ("base", "per_class")}
                setup["drawn"] |= {"steps": settings["drawn"]["sampler"]["steps"]}
    for setup in setups.values():
        guided = setup.pop("guided")
        setup["guidance"] = guided["main"]
        setup["ablations"] = {
            name: {key: v for key, v in guidance.items() if v != guided["main"][key]}
            for name, guidance in guided.items()
            if name not in ("main", "prompts")
        }
    return setups


def _setting(models: list[str], scheme: Mapping[str, Any]) -> str:
    if len(set(models)) > 1:
        return "different architectures"
    if scheme["scheme"] == "class_blocks":
        apart = (scheme["stride"] or scheme["classes_per_client"]) >= scheme["classes_per_client"]
        return "label skew" if apart else "overlapping labels"
    return "feature skew" if scheme["scheme"].startswith("domain") else "label skew"


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


def client_domains(
    scheme: Mapping[str, Any], card: Mapping[str, Any], without: int | None = None
) -> list[str] | None:
    """Each client's domain under a partition scheme that deals by domain.

    ``without`` is the place of a domain that is left out and has no client.
    """
    if scheme["scheme"] == "domain":
        return [name for place, name in enumerate(card["domains"]) if place != without]
    if scheme["scheme"] == "domain_shards":
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
