import os
import re
import subprocess
from collections import Counter
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
    jobs = [grid.jobs[str(Path(path).parent)] for path in found]
    runs = [job for job in jobs if job.kind.plain]
    played, sampled = Counter(), Counter(run.experiment for run in runs)
    for experiment, _ in {(run.experiment, run.name) for run in grid.of_kind("federate")}:
        played[experiment] += 1
    assert sampled == {experiment: min(3, count) for experiment, count in played.items()}
    kinds = Counter(job.kind.name for job in jobs[len(runs) :])
    assert kinds.keys() == {job.kind.name for job in grid.jobs.values()} - {"federate"}
    rivals = {job.name for job in grid.of_kind("rival")}
    assert kinds == {kind: len(rivals) if kind == "rival" else 1 for kind in kinds}


PYTHON = """#!/bin/sh
case "$1" in
  tools/sample_jobs.py) echo first/run.json; echo second/fit.json ;;
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
    rest = "--cores 2 --quiet rules reason host"
    assert log.read_text().splitlines() == [
        f"{base}/{part} {base}/{part}/src -m fedgenbench.commands.start {targets} {rest}"
        for part, targets in (("smoke", "smoke"), ("embedded", "first/run.json second/fit.json"))
    ]
    assert (base / "smoke/data/raw/emoji").is_dir()
    assert (base / "embedded/data/raw/emoji").is_dir()
    assert "exists: name another" in run("bash", script, "../base").stderr
    (home / "params.yaml").write_text("seeds: [1]\n")
    again = run("bash", script, "../other")
    assert again.returncode == 2
    assert "commit them first" in again.stderr
