"""How long Snakemake plans a grid of so many jobs, and how much memory that takes: a dry run of each.

python tools/plan_size.py 2000 20000    (docs/running.md has the numbers; 20,000 take minutes)
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/helpers"))
import scratch

# Those that need no images and no studies; each is a job a seed, and so is the partition.
METHODS = (
    "local",
    "centralised",
    "fedavg",
    "fedprox",
    "scaffold",
    "feddyn",
    "moon",
    "fedper",
    "ditto",
)


def planned(folder: Path, jobs: int) -> tuple[int, float, float, float]:
    """Jobs of a dry run, its seconds, its CPU seconds and its peak memory in GiB."""
    copy = scratch.make(folder / str(jobs))
    params = scratch.read_params(copy)
    params["experiments"][scratch.EXPERIMENT]["methods"] = list(METHODS)
    params["seeds"] = list(range(jobs // (len(METHODS) + 1)))
    scratch.write_params(copy, params)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "-n", "--quiet", "all"]
    environment = os.environ | {"PYTHONPATH": str(copy / "src")}
    with open(copy / "said.txt", "w") as said:
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(command, cwd=copy, env=environment, stdout=said, stderr=said, check=True)
        seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (
        len(params["seeds"]) * (len(METHODS) + 1),
        seconds,
        cpu,
        after.ru_maxrss / 2**20,  # the largest so far: sizes are given in rising order
    )


def main(sizes: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for size in sorted(sizes):
            jobs, seconds, cpu, memory = planned(Path(folder), size)
            print(f"{jobs} jobs: {seconds:.0f} s, {cpu:.0f} s of CPU, {memory:.2f} GiB", flush=True)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [2000, 20000])
