"""What tables and reports say of experiments and methods, from their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedgenbench.core.wording import counted
from fedgenbench.data.sources import missing
from fedgenbench.federated.method import method_class
from fedgenbench.plan.settings import Experiment

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid


def experiment_notes(grid: Grid) -> dict[str, dict[str, Any]]:
    """Per experiment its data set, its partition scheme, and what tables say of it."""
    notes: dict[str, dict[str, Any]] = {}
    for name, experiment in grid.settings.experiments.items():
        local, scheme = experiment.local, experiment.partition.model_dump()
        clients, _, _ = grid.settings.sizes_of(experiment)
        notes[name] = {
            "dataset": experiment.dataset,
            "scheme": scheme,
            "report_global": experiment.report_global,
            "shown": {
                "title": experiment.title,
                "role": _role(experiment),
                "base": experiment.beside or name,
                "warmfed": "warmfed" in experiment.methods,
                "dataset": grid.settings.datasets[experiment.dataset].title,
                "clients": clients,
                "partition": _in_words(scheme),
                "rounds": experiment.rounds,
                "local": f"{counted(local.epochs, 'epoch')}, batch {local.batch_size}, "
                f"SGD lr {local.lr:g}, momentum {local.momentum:g}, "
                f"weight decay {local.weight_decay:g}",
                "model": experiment.model,
                "note": experiment.note,
                "poisoned": experiment.poisoned and experiment.poisoned.model_dump(),
            },
        }
    for name, (base, number, domain) in grid.left_out.items():
        shown = notes[base]["shown"]
        notes[name] = notes[base] | {
            "without": number,
            "shown": shown
            | {
                "title": f"{shown['title']}, without {domain}",
                "role": "left_out",
                "base": base,
                "left_out": domain,
                "clients": shown["clients"] - 1,
            },
        }
    return notes


def absent_notes(grid: Grid) -> dict[str, dict[str, Any]]:
    """Title, dataset, clients and reason of the paper scale's experiments that do not run here."""
    notes = {}
    for name, experiment in (grid.paper.experiments | grid.asked.experiments).items():
        if name in grid.settings.experiments:
            continue
        title = grid.asked.datasets[experiment.dataset].title
        clients, _, _ = experiment.partition.size_hint(experiment.dataset, None)
        reason = "no data" if missing(experiment.dataset) else "not run at this scale"
        notes[name] = {
            "title": experiment.title,
            "dataset": title,
            "clients": clients,
            "warmfed": "warmfed" in experiment.methods,
            "role": _role(experiment),
            "leave_one_out": bool(experiment.leave_one_out),
            "reason": reason,
            "command": f"snakemake paper --config experiments={name}",
        }
    return notes


def method_notes(grid: Grid) -> dict[str, dict[str, str | None]]:
    """Label, family and source of every method that runs, in the order of ``methods``."""
    used = {job.name for job in grid.of_kind("federate")}
    classes = {name: method_class(name) for name in grid.settings.methods if name in used}
    notes: dict[str, dict[str, str | None]] = {
        name: {"label": cls.label, "family": cls.family, "source": cls.source}
        for name, cls in classes.items()
    }
    for name, variant in grid.settings.variants.items():
        if name in used:
            source = method_class(variant.method).source
            notes[name] = {"label": variant.title, "family": "variant", "source": source}
            notes[name] |= {"of": variant.method, "start": variant.start}
            notes[name] |= {"statistics": variant.statistics}
    return notes


def newcomer_main(grid: Grid) -> list[float] | None:
    """The guided steps s and the strength ω that count as main: the first of each list."""
    for experiment in grid.settings.experiments.values():
        block = experiment.block("pfedgpa")
        if block and block.newcomers:
            return [block.newcomers.steps[0], block.newcomers.omegas[0]]
    return None


def _role(experiment: Experiment) -> str:
    """Which tables show an experiment; those of "main" compare everything, "oneshot" has no rounds,
    "variants" has no method as it is."""
    if experiment.score_on == "valid":
        return "tuning"
    if not experiment.rows:
        return "oneshot"
    if not experiment.methods:
        return "variants"
    return "scale" if experiment.beside else "main"


def _in_words(scheme: dict[str, Any]) -> str:
    """A partition scheme for a reader."""
    match scheme["scheme"]:
        case "fedpac":
            uniform = round(100 * scheme["uniform_share"])
            return (
                f"FedPAC: {uniform} % uniform, {100 - uniform} % dominant classes, "
                f"{scheme['train_per_client']} + {scheme['test_per_client']} images a client"
            )
        case "domain":
            return "one client per domain"
        case "domain_shards":
            return f"{scheme['clients_per_domain']} random shards per domain"
        case "domain_dirichlet":
            count, alpha = scheme["clients_per_domain"], scheme["alpha"]
            return f"{count} clients per domain, class shares drawn from Dirichlet({alpha:g})"
        case "dirichlet":
            return f"class shares drawn from Dirichlet({scheme['alpha']:g})"
        case "class_blocks":
            size, stride = scheme["classes_per_client"], scheme["stride"]
            shared = f", the next client's {stride} further" if stride else ""
            return f"{size} consecutive classes per client{shared}"
    raise ValueError(scheme["scheme"])
