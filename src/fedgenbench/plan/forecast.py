"""What a grid will cost, from measured costs; no data is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedgenbench.systems.base import Place

if TYPE_CHECKING:
    from fedgenbench.plan.grid import Grid
    from fedgenbench.plan.jobs import Job


def seconds(grid: Grid, run: Job) -> float:
    """Forecast of a run on one CPU core; evaluation counts as a third of a training pass."""
    costs = grid.settings.forecast
    base, *_ = grid.left_out.get(run.experiment, (run.experiment,))
    experiment = grid.settings.experiments[base]
    clients, train, test = grid.settings.sizes_of(experiment)
    trained = train * experiment.participation
    passes = (
        costs.passes.get(run.settings["method"], 1.0) * experiment.local.epochs * experiment.rounds
    )
    evaluations = 3 * (1 + experiment.rounds // experiment.evaluate_every)
    samples = clients * (trained * passes + test * evaluations / 3)
    per_1000 = costs.seconds_per_1000_samples[experiment.model]
    of_method = costs.server_seconds.get(run.settings["method"], 0.0)
    server = costs.server_seconds.get(run.name, of_method) * experiment.rounds
    return costs.start_seconds + samples / 1000 * per_1000 + server


def block_seconds(grid: Grid, name: str, system: str) -> float:
    """Forecast of a block's jobs of one repetition on one CPU core; none where there is no block."""
    experiment = grid.settings.experiments[name]
    block = experiment.blocks.get(system)
    return block.seconds(Place(name, experiment, grid.settings)) if block else 0.0


def forecast(grid: Grid) -> str:
    """The grid and what it will cost, as lines of text; what is finished counts, too."""
    columns = ("methods", "seeds", "runs", "jobs")
    wide = max(map(len, ("experiment", *grid.settings.experiments)))
    head = "".join(f"{each:>9}" for each in columns)
    lines = [f"{'experiment':<{wide}}{head}{'core minutes':>14}"]
    total = 0.0
    for name, experiment in grid.settings.experiments.items():
        names = {name, *(left for left, (base, *_) in grid.left_out.items() if base == name)}
        runs = [run for run in grid.of_kind("federate") if run.experiment in names]
        jobs = sum(job.experiment in names for job in grid.jobs.values())
        cost = sum(seconds(grid, run) for run in runs)
        for system in experiment.blocks:
            cost += len(grid.settings.seeds) * block_seconds(grid, name, system)
        total += cost
        counts = (len(experiment.rows), len(grid.settings.seeds), len(runs), jobs)
        lines.append(_row(f"{name:<{wide}}", counts, cost))
    all_runs = len(grid.of_kind("federate"))
    lines.append(_row(f"{'all':<{wide}}", ("", "", all_runs, len(grid.jobs)), total))
    return "\n".join(lines)


def _row(name: str, counts: tuple[int | str, ...], cost: float) -> str:
    return f"{name}{''.join(f'{count:>9}' for count in counts)}{cost / 60:>14.1f}"
