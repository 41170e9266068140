"""Prints files that sample the embedded scale, as targets: a job of each kind, three methods of each
experiment, one seed.
"""

from itertools import chain
from pathlib import Path

from fedgenbench.plan.grid import Grid
from fedgenbench.plan.settings import load


def sample(grid: Grid) -> list[str]:
    """Of an experiment's methods the first, the middle and the last; of rivals each."""
    seed = min(run.seed for run in grid.runs)
    methods: dict[str, list[str]] = {}
    for run in grid.runs:
        if run.seed == seed:
            methods.setdefault(run.experiment, []).append(f"{run.folder}/metrics.json")
    found = [
        name
        for names in methods.values()
        for name in dict.fromkeys((names[0], names[len(names) // 2], names[-1]))
    ]
    studies: dict[tuple[str, str], str] = {}
    for file, *_ in chain(grid.study_listing(), grid.synthesis_listing(), grid.fedlmg_listing()):
        study = grid.studies[str(Path(file).parent)]
        if study.seed == seed:
            name = study.name if study.kind == "rival" else ""
            studies.setdefault((study.kind, name), file)
    return [*found, *studies.values()]


if __name__ == "__main__":
    print("\n".join(sample(Grid(load("params.yaml")[1]["embedded"]))))
