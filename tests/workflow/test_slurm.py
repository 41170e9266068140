"""The toy grid on SLURM, by profiles/slurm: the same bytes as on one machine."""

import os
import time

import pytest
import scratch
import slurm_cluster
import slurm_stand_in
from scratch import contents

pytest.importorskip("snakemake_executor_plugin_slurm")

SHOWN = ("results/embedded/tables", "results/embedded/figures", "results/embedded/report")
OPTIONS = (
    *("--workflow-profile", "profiles/slurm", "--jobs", "4", "--slurm-no-account"),
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"),
    *("--seconds-between-status-checks", "2", "--default-resources", "mem_mb=200", "runtime=5"),
)


def computed(folder):
    """Checksums of all that does not tell how long it took."""
    made = contents(folder, "results/runs", *SHOWN)
    return {
        path: sha for path, sha in made.items() if "run.json" not in path and "costs" not in path
    }


def toy(folder):
    copy = scratch.make(folder)
    scratch.write_params(copy, scratch.read_params(copy) | {"device": "auto"})
    return copy


def test_jobs_are_asked_for_in_words_that_slurm_knows(finished, tmp_path, monkeypatch):
    variables = slurm_stand_in.install(tmp_path / "slurm")
    monkeypatch.setenv("PATH", variables["PATH"], prepend=os.pathsep)
    monkeypatch.setenv("SLURM_STAND_IN", variables["SLURM_STAND_IN"])
    copy = toy(tmp_path / "copy")
    scratch.snakemake(copy, *OPTIONS)
    asked = {}
    for words in slurm_stand_in.submissions(tmp_path / "slurm"):
        rule = words[words.index("--comment") + 1].partition("_wildcards")[0]
        asked.setdefault(rule.removeprefix("rule_"), []).append(words)
    assert {rule: len(jobs) for rule, jobs in asked.items()} == {
        "prepare": 1,
        "federate": scratch.RUNS,
    }
    for rule, jobs in asked.items():
        partition, gpus = ("gpu", ["--gpus=1"]) if rule == "federate" else ("cpu", [])
        for words in jobs:
            assert words[words.index("-p") + 1] == partition
            assert [word for word in words if word.startswith("--g")] == gpus
            assert "--requeue" in words
            assert words[words.index("--mem") + 1] == "200"
            assert words[words.index("-t") + 1] == "5"
    assert computed(copy) == computed(finished)


@pytest.mark.slow
@pytest.mark.skipif(bool(slurm_cluster.lacks()), reason=slurm_cluster.lacks())
def test_a_killed_job_and_a_restarted_controller_change_no_byte(finished, tmp_path):
    copy = toy(tmp_path / "copy")
    with slurm_cluster.cluster(tmp_path / "cluster") as cluster:
        process = scratch.start(copy, *OPTIONS)
        while not (
            victims := [n for n, comment in cluster.running().items() if "federate" in comment]
        ):
            assert process.is_alive(), (copy / "said.txt").read_text()
            time.sleep(0.2)
        asked = slurm_cluster.command("scontrol", "show", "job", victims[0])
        assert "Partition=gpu " in asked
        assert "gpu:1" in asked
        slurm_cluster.command("scancel", victims[0])
        cluster.restart_controller()
        process.join(timeout=1200)
        said = (copy / "said.txt").read_text()
        assert process.exitcode == 0, said
    assert f"with SLURM jobid '{victims[0]}' failed" in said or "Trying to restart job" in said
    assert computed(copy) == computed(finished)
