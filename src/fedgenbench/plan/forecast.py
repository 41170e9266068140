"""What a grid will cost, from measured costs; no data is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedgenbench.data.sources import source_of

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid, Run


def seconds(grid: Grid, run: Run) -> float:
    """Forecast of a run on one CPU core; evaluation counts as a third of a training pass."""
    costs = grid.settings.forecast
    base, *_ = grid.left_out.get(run.experiment, (run.experiment,))
    experiment = grid.settings.experiments[base]
    limit = grid.settings.datasets[experiment.dataset].limit_per_class
    clients, train, test = experiment.partition.size_hint(experiment.dataset, limit)
    train *= experiment.participation
    passes = (
        costs.passes.get(run.settings["method"], 1.0) * experiment.local.epochs * experiment.rounds
    )
    evaluations = 3 * (1 + experiment.rounds // experiment.evaluate_every)
    samples = clients * (train * passes + test * evaluations / 3)
    per_1000 = costs.seconds_per_1000_samples[experiment.model]
    return costs.start_seconds + samples / 1000 * per_1000


def fedlmg_seconds(grid: Grid, name: str) -> float:
    """Forecast of FedLMG's jobs of one repetition on one CPU core, as if all clients and the
    server had the experiment's model: classifiers, images, and what is trained on them."""
    experiment, costs = grid.settings.experiments[name], grid.settings.forecast
    chosen = experiment.fedlmg
    if chosen is None:
        return 0.0
    limit = grid.settings.datasets[experiment.dataset].limit_per_class
    clients, train, _ = experiment.partition.size_hint(experiment.dataset, limit)
    classes = len(source_of(experiment.dataset)["facts"]["train"])
    held = clients * getattr(experiment.partition, "classes_per_client", classes)
    rivals = chosen.drawing_rivals
    plain = chosen.sampler.steps / 4  # a denoising step costs a quarter of a gradient
    gradients = held * chosen.per_class * plain * (chosen.baselines + len(rivals))
    for row in ("main", *chosen.changes):
        count = chosen.per_class if row == "main" else chosen.ablation_per_class
        gradients += held * count * (chosen.guidance_of(row).editing_steps + 5 * plain)
    # Images per row of the server: three ways of FedLMG, and one of each other.
    trained = held * (3 * chosen.per_class + 3 * len(chosen.changes) * chosen.ablation_per_class)
    trained += held * 3 * sum(chosen.sizes)
    if chosen.baselines:
        trained += held * (chosen.per_class * (2 + len(rivals)) + sum(chosen.sizes))
        trained += clients * train * 4 / 3  # the ceilings; a head alone is a third of the work
    passes = trained * chosen.server.epochs
    passes += clients * train * chosen.clients.epochs * (1 + chosen.averages)
    per_1000 = costs.seconds_per_1000_samples[experiment.model]
    jobs = 3 + 2 * len(chosen.changes) + chosen.baselines + len(rivals)
    if chosen.rivals and (dense := chosen.rivals.dense):
        jobs += 1  # each of the generator's steps passes through all clients' classifiers
        passes += clients * dense.epochs * dense.generator_steps * dense.batch_size
    start = costs.start_seconds * jobs
    return start + gradients * costs.guided_step_seconds + passes / 1000 * per_1000


def forecast(grid: Grid) -> str:
    """The grid and what it will cost, as lines of text; what is finished counts, too."""
    columns = ("methods", "seeds", "runs", "studies")
    lines = [f"{'experiment':<24}{''.join(f'{each:>9}' for each in columns)}{'core minutes':>14}"]
    total = 0.0
    for name, experiment in grid.settings.experiments.items():
        names = {name, *(left for left, (base, *_) in grid.left_out.items() if base == name)}
        runs = [run for run in grid.runs if run.experiment in names]
        studies = sum(study.experiment in names for study in grid.studies.values())
        cost = sum(seconds(grid, run) for run in runs)
        cost += len(grid.settings.seeds) * fedlmg_seconds(grid, name)
        total += cost
        counts = (len(experiment.rows), len(grid.settings.seeds), len(runs), studies)
        lines.append(_row(name, counts, cost))
    lines.append(_row("all", ("", "", len(grid.runs), len(grid.studies)), total))
    return "\n".join(lines)


def _row(name: str, counts: tuple[int | str, ...], cost: float) -> str:
    return f"{name:<24}{''.join(f'{count:>9}' for count in counts)}{cost / 60:>14.1f}"
