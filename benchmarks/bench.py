"""Runs all contestants in turn, several times over, and writes results.json and docs/benchmarks.md.

Usage: bench.py [--repeats N] [--case NAME ...] | bench.py --render
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"
THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
# Largest difference between global weights that counts as the same model, as a share of the largest
# movement of a weight, in double precision (pfl sums its updates in single precision regardless).
TOLERANCE = 1e-5

# contestant: label, environment, script, further arguments
CONTESTANTS = {
    "vmap": ("FedGenBench, `vmap` engine", None, "run_ours.py", ["vmap"]),
    "sequential": ("FedGenBench, `sequential` engine", None, "run_ours.py", ["sequential"]),
    "loop": ("common loop (deepcopy, DataLoader, `torch.optim.SGD`)", None, "run_loop.py", []),
    "pfl": ("pfl", "pfl", "run_pfl.py", []),
    "flower_1": ("Flower simulation, 1 Ray worker", "flower", "run_flower.py", ["1"]),
    "flower_2": ("Flower simulation, 2 Ray workers", "flower", "run_flower.py", ["2"]),
}
# case: title, contestants; the first is the one that the others are divided by
CASES = {
    "mlp": ("MLP 784-64-10, 50 clients × 50 samples, batch 10", list(CONTESTANTS)),
    "cnn": ("CNN of 117 k parameters, 50 clients × 50 samples, batch 10", ["sequential", "loop"]),
    "cnn_large": (
        "CNN of 117 k parameters, 10 clients × 600 samples, batch 50",
        ["sequential", "loop"],
    ),
}


def python(environment: str | None) -> Path:
    folder = HERE / ".venvs" / environment if environment else ROOT / ".venv"
    return folder / "bin" / "python"


def call(command: list) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | THREADS,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(
            f"{' '.join(map(str, command))} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )


def play(who: str, problem: Path, out: Path) -> tuple[dict, dict]:
    """One run: its entry, and the final global weights."""
    _, environment, script, arguments = CONTESTANTS[who]
    call([python(environment), HERE / script, problem, out, *arguments])
    return json.loads(out.read_text()), load(out.with_suffix(".npz"))


def make(name: str, dtype: str, folder: Path) -> Path:
    problem = folder / f"{name}-{dtype}.npz"
    call([python(None), HERE / "run_ours.py", "--make", problem, name, dtype])
    return problem


def agreement(name: str, folder: Path) -> dict[str, float]:
    """How far the contestants' final models are apart, in double precision and before any timing.

    In single precision rounding tips a ReLU or a max-pool over now and then, and the difference
    grows from round to round; that says nothing about the contestants.
    """
    problem = make(name, "float64", folder)
    models = {who: play(who, problem, folder / "check.json")[1] for who in CASES[name][1]}
    reference, file = next(iter(models.values())), load(problem)
    moved = max(float(abs(w - file[f"initial/{key}"]).max()) for key, w in reference.items())
    apart = {
        who: max(float(abs(w - reference[key]).max()) for key, w in model.items()) / moved
        for who, model in models.items()
    }
    print(f"{name} weights apart: " + ", ".join(f"{who} {far:.1e}" for who, far in apart.items()))
    other = [who for who, far in apart.items() if not far <= TOLERANCE]
    if other:
        sys.exit(f"{name}: not the same model as {next(iter(models))}'s: {', '.join(other)}")
    return apart


def run_case(name: str, repeats: int, folder: Path, apart: dict[str, float]) -> dict:
    title, contestants = CASES[name]
    problem = make(name, "float32", folder)
    entries: dict[str, list[dict]] = {who: [] for who in contestants}
    scores: dict[str, float] = {}
    for repeat in range(repeats):
        # Each repeat starts with another contestant.
        for turn in range(len(contestants)):
            who = contestants[(repeat + turn) % len(contestants)]
            entry, weights = play(who, problem, folder / "run.json")
            entries[who].append(entry)
            scores[who] = accuracy(weights, load(problem))
            print(f"{name} {repeat + 1}/{repeats} {who:12} {1e3 * entry['median']:8.1f} ms")
    base = entries[contestants[0]]
    rows = {}
    for who, runs in entries.items():
        ratios = [run["median"] / own["median"] for run, own in zip(runs, base, strict=True)]
        rows[who] = {
            "seconds": spread([run["median"] for run in runs]),
            "ratio": spread(ratios),
            "cpu": spread([run["cpu"] for run in runs]) if "cpu" in runs[0] else None,
            "accuracy": scores[who],
            "weights_apart": apart[who],
            "rounds_timed": len(runs[0]["seconds"]),
            "load": spread([run["load"] for run in runs]),
            "versions": runs[0]["versions"],
            "medians": [run["median"] for run in runs],
        }
    return {"title": title, "repeats": repeats, "contestants": rows}


def spread(values: list[float]) -> dict:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def load(path: Path) -> dict:
    import numpy as np

    with np.load(path) as file:
        return dict(file)


def accuracy(weights: dict, problem: dict) -> float:
    """Of the final global model on the 1,000 test samples."""
    import torch

    from fedgenbench.models import build

    model = build(json.loads(str(problem["notes"]))["model"], (1, 28, 28), 10, 0)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    with torch.no_grad():
        found = model.eval()(torch.from_numpy(problem["x_test"]))[0].argmax(1).numpy()
    return float((found == problem["y_test"]).mean())


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


# The page ---------------------------------------------------------------------------------------
def render(results: dict) -> str:
    machine = results["machine"]
    lines = [
        "# Time of a federated round",
        "",
        "Made by `benchmarks/run.sh` from `benchmarks/results.json`; do not edit. What is compared,",
        "and why it is fair, is in [benchmarks/README.md](../benchmarks/README.md).",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, one thread for",
        "everybody. A time is the median over a run's timed rounds, and over the repeats; a ratio is",
        "taken within a repeat, in which all contestants take turns. In brackets: least and most.",
    ]
    for case in results["cases"].values():
        first = next(iter(case["contestants"]))
        lines += [
            "",
            f"## {case['title']}",
            "",
            f"{case['repeats']} repeats, FedAvg, one local epoch, SGD with learning rate 0.1.",
            "",
            f"| | ms a round | times {CONTESTANTS[first][0]} | CPU ms | accuracy | weights apart |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for who, row in case["contestants"].items():
            version = row["versions"].get({"pfl": "pfl"}.get(who, "flwr"), "")
            label = CONTESTANTS[who][0] + (f", {version}" if version else "")
            lines.append(
                f"| {label} | {cell(row['seconds'], 1e3, 1)} | {cell(row['ratio'], 1, 2)} | "
                f"{cell(row['cpu'], 1e3, 1) if row['cpu'] else ''} | "
                f"{row['accuracy']:.3f} | {row['weights_apart']:.1e} |"
            )
    loads = [
        row["load"] for case in results["cases"].values() for row in case["contestants"].values()
    ]
    versions: dict = {}
    for case in results["cases"].values():
        for row in case["contestants"].values():
            versions |= row["versions"]
    lines += [
        "",
        "*CPU ms*: CPU time of the process a round, which a busy machine disturbs less than time on",
        "the wall; left out for Flower, which works in several processes. *Accuracy*: of the final",
        "global model on 1,000 test samples. *Weights apart*: in a run of the same rounds in double",
        "precision, the largest difference between a final global weight and the first contestant's,",
        "as a share of the largest movement of a weight; all see the same samples in the same order.",
        "In single precision rounding tips a ReLU or a max-pool over now and then, which is why the",
        "accuracies need not be equal.",
        "",
        f"Load average of the machine during the runs: {min(row['min'] for row in loads):.1f} to "
        f"{max(row['max'] for row in loads):.1f}.",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
    ]
    return "\n".join(lines) + "\n"


def cell(values: dict, scale: float, digits: int) -> str:
    median, least, most = (values[key] * scale for key in ("median", "min", "max"))
    return f"{median:.{digits}f} ({least:.{digits}f}–{most:.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    options = parser.parse_args()
    if options.render:
        PAGE.write_text(render(json.loads(RESULTS.read_text())))
        return
    sys.stdout.reconfigure(line_buffering=True)
    with tempfile.TemporaryDirectory() as folder:
        apart = {name: agreement(name, Path(folder)) for name in options.case}
        cases = {
            name: run_case(name, options.repeats, Path(folder), apart[name])
            for name in options.case
        }
    machine = {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
    }
    results = {"machine": machine, "threads": 1, "cases": cases}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(render(results))
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
