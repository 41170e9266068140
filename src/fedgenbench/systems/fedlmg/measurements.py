"""What FedLMG's classifiers, guided images and servers' models say in numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from fedgenbench.core.measurements import Measurement, Measures

COLUMNS = (
    *("experiment", "seed", "kind", "name", "row"),
    *("client", "step", "quantity", "value"),
)
# Guidances and baselines of which images are shown, but for FedDISC's from the same noise.
SHOWN = ("prompts", "fgl", "feddisc", "feddeo", "no_editing", "latent", "main")


def _of_classifiers(content: Mapping[str, Any]) -> Iterator[Measurement]:
    for quantity in ("own_test", "images", "parameters", "flops"):
        for client, value in enumerate(content[quantity]):
            yield Measurement(quantity, float(value), "client", client)
    yield Measurement("own_test", float(np.mean(content["own_test"])), "client", -1)
    for name, size in content["bytes"].items():
        row = name.rstrip("0123456789")
        client = int(name.removeprefix(row))
        yield Measurement("bytes", float(size), row, client)
        yield Measurement("last_loss", float(content["losses"][name][-1]), row, client)


def _of_guidance(content: Mapping[str, Any]) -> Iterator[Measurement]:
    for quantity in ("images", "seconds_per_image"):
        yield Measurement(quantity, float(content[quantity]), "", -1)
    for quantity in ("cross_entropy", "batch_norm"):
        for step, value in enumerate(content[quantity]):
            yield Measurement(quantity, float(value), "", -1, step=step)
    for quantity in ("skipped", "gradients"):
        for client, value in content[quantity].items():
            yield Measurement(quantity, float(value), "", int(client))


def _of_editing(content: Mapping[str, Any]) -> Iterator[Measurement]:
    for trial in content["trials"]:
        for quantity in ("cross_entropy", "batch_norm"):
            size = f"{trial['size']:g}" if trial["steps"] else ""
            yield Measurement(quantity, float(trial[quantity]), size, step=trial["steps"])


def _of_server(content: Mapping[str, Any]) -> Iterator[Measurement]:
    for row, found in content["rows"].items():
        yield Measurement("accuracy", float(np.mean(found["accuracy"])), row, -1)
        for client, value in enumerate(found["accuracy"]):
            yield Measurement("accuracy", float(value), row, client)
        yield Measurement("images", float(found["images"]), row, -1)
    for client, found in enumerate(content.get("likeness", ())):
        for quantity, value in found.items():
            yield Measurement(quantity, float(value), "likeness", client)


def _of_rival(content: Mapping[str, Any]) -> Iterator[Measurement]:
    for quantity in ("images", "seconds_per_image"):
        yield Measurement(quantity, float(content[quantity]), "", -1)
    for quantity in ("upload_bytes", "client_seconds", "client_flops", "download_parameters"):
        for client, value in content.get(quantity, {}).items():
            yield Measurement(quantity, float(value), "", int(client))


def _and_time(
    said: Callable[[Mapping[str, Any]], Iterator[Measurement]],
) -> Callable[[Mapping[str, Any]], Iterator[Measurement]]:
    def measured(content: Mapping[str, Any]) -> Iterator[Measurement]:
        yield from said(content)
        yield Measurement("wall_seconds", content["wall_seconds"])

    return measured


MEASURES: Measures = {
    "classifiers": _and_time(_of_classifiers),
    "editing": _and_time(_of_editing),
    "guided": _and_time(_of_guidance),
    "rival": _and_time(_of_rival),
    "dense": _and_time(_of_server),
    "rounds": _and_time(_of_server),
    "server": _and_time(_of_server),
}


def _fedlmg(measurements: pd.DataFrame) -> pd.DataFrame:
    """``row`` is one of the metrics of a server, or of DENSE, or "likeness", which is of the images;
    of classifiers "client", of trials of editing the size of a step; else empty. Accuracies are in
    [0, 1]. The classifiers of all rows but a few have no name."""
    part = measurements[measurements["job"].isin(list(MEASURES))]
    of_all = (part["job"] == "classifiers") & (part["name"] == "all")
    name = part["name"].where(~of_all, "")
    part = part.assign(kind=part["job"], name=name)
    return part[list(COLUMNS)].reset_index(drop=True)


FRAMES = {"fedlmg": _fedlmg}


def setups(
    jobs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]],
    schemes: Mapping[str, Mapping[str, Any]],
    domains: Mapping[str, list[str] | None],
) -> dict[str, dict[str, Any]]:
    """What tables say of each experiment of FedLMG beside numbers.

    setting: "feature skew", "label skew", "overlapping labels", "number of clients", or "different
        architectures" whatever the split; names, models: of the clients; trained, server, drawn,
        guidance: settings; rounds: of baselines that have some; ablations: what each variation
        changes in the guidance, the noise on uploads, the model or batch norm's statistics, and, if
        there is one, ablation_per_class; asked: rows of other models, whether or not these were there;
        digests: "kind name" -> one per seed; hardware, dirty: of the jobs.

    Args:
        jobs: address (``job``, ``experiment``, ``name``) and metrics of all jobs, others' too.
        schemes: experiment -> its partition scheme.
        domains: experiment -> each client's domain, or None.
    """
    found: dict[str, dict[str, Any]] = {}
    for address, content in jobs:
        kind, name, experiment = (address[key] for key in ("job", "name", "experiment"))
        if kind not in MEASURES:
            continue
        setup = found.setdefault(experiment, {"digests": {}, "hardware": [], "dirty": 0})
        key = kind if name == "all" else f"{kind} {name}"
        setup["digests"].setdefault(key, []).append(content["digest"])
        setup["dirty"] += content["git_dirty"] is True
        hardware = content["cpu"] if content["device"] == "cpu" else content["device"]
        setup["hardware"] = sorted({*setup["hardware"], hardware})
        settings = content["settings"]
        if kind == "classifiers" and name == "all":
            count, models = len(content["images"]), settings["clients"]["models"]
            setup["models"] = [models[client % len(models)] for client in range(count)]
            setup["names"] = domains[experiment] or [f"client {client}" for client in range(count)]
            setup["setting"] = _setting(setup["models"], schemes[experiment])
            setup["trained"] = settings["clients"]
        elif kind == "server":
            setup.setdefault("trained_by_row", {})[name] = settings["server"]["statistics"]
            if name == "main":
                setup |= {key: settings[key] for key in ("server", "asked")}
        elif kind == "rounds":
            setup["rounds"] = settings["multi_round"]["rounds"]
        elif kind == "guided":
            setup.setdefault("guided", {})[name] = _decided(settings)
            if name not in ("main", "prompts"):
                setup["ablation_per_class"] = settings["drawn"]["per_class"]
            if name == "main":
                of_all = ("base", "per_class", "total_per_class")
                setup["drawn"] = {key: settings["drawn"][key] for key in of_all}
                setup["drawn"] |= {"steps": settings["drawn"]["sampler"]["steps"]}
    for setup in found.values():
        setup |= _variations(setup.pop("guided"), setup.pop("trained_by_row"))
    return found


def _variations(
    guided: Mapping[str, dict[str, Any]], statistics: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """The guidance of ``main``, and what each variation changes."""
    decided = {
        name: each | {"statistics": statistics.get(name, statistics["main"])}
        for name, each in guided.items()
    }
    main = decided["main"]
    return {
        "guidance": {key: value for key, value in main.items() if key not in OF_VARIATIONS},
        "ablations": {
            name: {key: value for key, value in each.items() if value != main[key]}
            for name, each in decided.items()
            if name not in ("main", "prompts")
        },
    }


OF_VARIATIONS = ("upload_noise", "base", "statistics")  # what they may change beside the guidance


def _decided(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The guidance of images, the noise on uploads and the model that draws them."""
    drawn = settings["drawn"]
    return drawn["guidance"] | {
        "upload_noise": settings["upload_noise"],
        "base": drawn["base"]["source"],
    }


def _setting(models: list[str], scheme: Mapping[str, Any]) -> str:
    if len(set(models)) > 1:
        return "different architectures"
    if scheme["scheme"] == "class_blocks":
        apart = (scheme["stride"] or scheme["classes_per_client"]) >= scheme["classes_per_client"]
        return "label skew" if apart else "overlapping labels"
    if scheme["scheme"] == "domain_dirichlet":
        return "number of clients"
    return "feature skew" if scheme["scheme"].startswith("domain") else "label skew"
