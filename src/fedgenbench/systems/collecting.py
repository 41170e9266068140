"""Finished jobs to the frames and the context that every table, figure and report is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fedgenbench.core.files import atomic_path, read_json, write_json
from fedgenbench.report.collect import client_domains, collect, read_jobs, without_measured
from fedgenbench.report.store import shown_pictures
from fedgenbench.systems.base import parts


@dataclass(frozen=True)
class Collection:
    """What is to be collected at a scale: jobs, and what tables say of them beside numbers.

    jobs: kind, experiment, name, seed, client, digest and folder of each.
    pictures: experiment, seed, name and path of what is shown as it is.
    experiments, methods, absent: the notes of the grid; cards: data set -> its card.
    """

    scale: str
    jobs: Sequence[Sequence[Any]]
    pictures: Sequence[Sequence[Any]]
    experiments: Mapping[str, Mapping[str, Any]]
    methods: Mapping[str, Mapping[str, Any]]
    absent: Mapping[str, Mapping[str, Any]]
    newcomer_main: Sequence[float] | None
    confidence: float
    cards: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Collection:
        """From ``plan.collection``'s fields: the cards are read."""
        cards = {name: read_json(path) for name, path in fields["cards"].items()}
        return cls(**dict(fields) | {"cards": cards})


def collected(asked: Collection) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The frames by name, as ``without_measured`` has them, and the context.

    Raises:
        UserError: a job's files are missing, altered or of other settings.
    """
    domains = {
        name: client_domains(entry["scheme"], asked.cards[entry["dataset"]], entry.get("without"))
        for name, entry in asked.experiments.items()
    }
    jobs = list(read_jobs(tuple(each) for each in asked.jobs))
    modules = dict(parts("measurements"))
    measures = {kind: said for each in modules.values() for kind, said in each.MEASURES.items()}
    frames = without_measured(collect(jobs, measures, domains, asked.scale))
    experiments = {
        name: entry["shown"] | {"classes": len(asked.cards[entry["dataset"]]["classes"])}
        for name, entry in asked.experiments.items()
    }
    schemes = {name: entry["scheme"] for name, entry in asked.experiments.items()}
    for system, module in modules.items():
        setups = module.setups(jobs, schemes, domains) if hasattr(module, "setups") else {}
        for name, setup in setups.items():
            classes = asked.cards[asked.experiments[name]["dataset"]]["classes"]
            experiments[name][system] = setup | {"classes": classes}
    says = {
        (address["experiment"], address["seed"], name): said
        for address, metrics in jobs
        for name, said in metrics.get("pictures", {}).items()
    }
    context = {
        "experiments": experiments,
        "methods": asked.methods,
        "confidence": asked.confidence,
        "absent": asked.absent,
        "newcomer_main": asked.newcomer_main,
        # Where only personalised accuracy is asked for, a global model's is not reported.
        "hidden": [n for n, entry in asked.experiments.items() if not entry["report_global"]],
        "pictures": shown_pictures(
            (experiment, seed, name, path, says.get((experiment, seed, name)))
            for experiment, seed, name, path in asked.pictures
        ),
        "expected": [
            [a["experiment"], a["name"], a["seed"], metrics["digest"]]
            for a, metrics in jobs
            if a["job"] == "federate"
        ],
        "order": {
            "experiments": list(experiments),
            "methods": list(asked.methods),
            "absent": list(asked.absent),
        },
    }
    return frames, context


def write(folder: Path, frames: Mapping[str, pd.DataFrame], context: Mapping[str, Any]) -> None:
    """Writes what ``collected`` gives; the context last, which stands for all of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        with atomic_path(folder / f"{name}.parquet") as temporary:
            frame.to_parquet(temporary, index=False)
    write_json(folder / "context.json", dict(context))
