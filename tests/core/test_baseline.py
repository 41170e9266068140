import os
import re
import subprocess
from pathlib import Path

from fedgenbench.plan.grid import Grid
from fedgenbench.plan.settings import load
from sample_jobs import sample

REPOSITORY = Path(__file__).parents[2]


def test_a_sample_has_every_kind_three_methods_and_one_seed():
    grid = Grid(load("params.yaml")[1]["embedded"])
    found = sample(grid)
    assert len(found) == len(set(found))
    assert all(re.search(r"/seed0[-/]", path) for path in found)
    names = {run.folder: (run.experiment, run.method) for run in grid.runs}
    runs = [names[str(Path(path).parent)] for path in found if path.startswith("results/runs/")]
    counts = {experiment: 0 for experiment, _ in names.values()}
    for experiment, _ in runs:
        counts[experiment] += 1
    methods = {e: len({m for x, m in names.values() if x == e}) for e in counts}
    assert counts == {e: min(3, count) for e, count in methods.items()}
    kinds = [grid.studies[str(Path(path).parent)].kind for path in found[len(runs) :]]
    assert set(kinds) == {study.kind for study in grid.studies.values()} - {"uploads"}
    assert len(set(kinds)) == len([kind for kind in kinds if kind != "rival"]) + 1


PYTHON = """#!/bin/sh
case "$1" in
  */sample_jobs.py) echo first/run.json; echo second/fit.json ;;
  *) echo "$PWD $PYTHONPATH $*" >> "$LOG" ;;
esac
"""


def test_a_baseline_is_made_in_a_clone_of_what_is_committed(tmp_path):
    home, stubs, log = tmp_path / "home", tmp_path / "bin", tmp_path / "log"
    for folder in (home / "data/raw/emoji", stubs):
        folder.mkdir(parents=True)
    (stubs / "python").write_text(PYTHON)
    (stubs / "python").chmod(0o755)
    (home / "params.yaml").write_text("seeds: [0]\n")
    (home / ".gitignore").write_text("/data/\n")
    environment = os.environ | {"PATH": f"{stubs}:{os.environ['PATH']}", "LOG": str(log)}
    environment |= {
        f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    environment["CORES"] = "2"

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=home, env=environment, capture_output=True, text=True, check=False
        )

    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        assert run("git", *arguments).returncode == 0
    script = str(REPOSITORY / "tools/record_baseline.sh")
    done = run("bash", script, "../base")
    assert done.returncode == 0, done.stderr
    base = tmp_path / "base"
    start = f"{base} {base}/src -m fedgenbench.commands.start"
    rest = "--cores 2 --quiet rules reason host"
    assert log.read_text().splitlines() == [
        f"{start} smoke {rest}",
        f"{start} first/run.json second/fit.json {rest}",
    ]
    assert (base / "data/raw/emoji").is_dir()
    assert "exists: name another" in run("bash", script, "../base").stderr
    (home / "params.yaml").write_text("seeds: [1]\n")
    again = run("bash", script, "../other")
    assert again.returncode == 2
    assert "commit them first" in again.stderr
