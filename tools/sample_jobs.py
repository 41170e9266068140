"""Prints files that sample the embedded scale, as targets: a job of each kind, three methods of each
experiment, one seed.
"""

from fedgenbench.plan.grid import Grid
from fedgenbench.plan.settings import load


def sample(grid: Grid) -> list[str]:
    """Of an experiment's methods the first, the middle and the last; of baselines in one shot each."""
    seed = min(job.seed for job in grid.jobs.values())
    methods: dict[str, list[str]] = {}
    for job in grid.of_kind("federate"):
        if job.seed == seed:
            methods.setdefault(job.experiment, []).append(job.metrics)
    files = [
        name
        for names in methods.values()
        for name in dict.fromkeys((names[0], names[len(names) // 2], names[-1]))
    ]
    others: dict[tuple[str, str], str] = {}
    for job in grid.jobs.values():
        if job.seed == seed and not job.kind.plain:
            name = job.name if job.kind.name == "rival" else ""
            others.setdefault((job.kind.name, name), job.metrics)
    return [*files, *others.values()]


if __name__ == "__main__":
    print("\n".join(sample(Grid(load("params.yaml")[1]["embedded"]))))
