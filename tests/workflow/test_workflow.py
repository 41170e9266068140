"""The whole workflow on a small copy: what runs, what runs again, and what must never be stale."""

import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import scratch
from scratch import EXPERIMENT, MADE, PRODUCTS, contents, edit, jobs, planned, snakemake

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.files import read_json, sha256_file, write_json

RUNS = f"results/runs/{EXPERIMENT}"
SHOWN = ("results/embedded/tables", "results/embedded/figures")


def change(folder, **settings):
    scratch.write_params(folder, scratch.read_params(folder) | settings)


def change_experiment(folder, **settings):
    params = scratch.read_params(folder)
    params["experiments"][EXPERIMENT] |= settings
    scratch.write_params(folder, params)


def run_folder(folder, method, seed):
    (found,) = (folder / RUNS / method).glob(f"seed{seed}-*")
    return found


def measured(name):
    """Whether a product's file holds times or memory."""
    return Path(name).name.startswith(("measured_", "costs."))


def flip(path, at=-20):
    """One bit of a file, as bad storage does it."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


# A first run and a second one -----------------------------------------------------------------------
def test_the_first_run_makes_everything_and_says_what_it_will_cost(finished):
    said = (finished / "first.txt").read_text()
    assert jobs(said) == MADE | PRODUCTS
    assert re.search(rf"^{EXPERIMENT} +2 +2 +4 +4 +\d+\.\d$", said, re.MULTILINE)
    for product in ("tables", "figures", "report"):
        folder = finished / f"results/embedded/{product}"
        (manifest,) = folder.glob(f"{product}-*.json")
        listed = read_json(manifest)
        assert listed["files"] == {
            name: None if measured(name) else sha256_file(folder / name) for name in listed["files"]
        }
        assert len(listed["runs"]) == scratch.RUNS
    for metrics in finished.glob(f"{RUNS}/*/*/metrics.json"):
        run = read_json(metrics.with_name("run.json"))
        assert read_json(metrics)["digest"] == metrics.parent.name[-10:] == run["digest"]
        assert run["report_sha256"] == sha256_file(metrics)
        assert run["device"] == "cpu"
    assert not [path for path in finished.rglob("results/checkpoints/**/*") if path.is_file()]


def test_a_second_run_has_nothing_to_do(finished):
    assert planned(finished) == {}


def test_a_faulty_setting_stops_before_anything_runs(copy):
    change_experiment(copy, rounds=0)
    said = snakemake(copy, ok=False)
    assert f"experiments.{EXPERIMENT}.rounds = 0" in said
    assert "Traceback" not in said
    assert "Building DAG" not in said


def test_other_times_and_memory_change_what_was_measured_and_nothing_else(copy):
    products = [
        f"results/embedded/{name}" for name in ("collected-*", "tables", "figures", "report")
    ]
    names = [str(path.relative_to(copy)) for name in products for path in copy.glob(name)]
    before = contents(copy, *names)
    for path in copy.glob(f"{RUNS}/*/*/run.json"):
        run = read_json(path)
        run |= {key: 3 * run[key] for key in ("wall_seconds", "cpu_seconds", "peak_memory_bytes")}
        write_json(path, run | {"started": "2001-01-01T00:00:00+00:00"})
    for name in names:
        shutil.rmtree(copy / name)
    snakemake(copy)
    after = contents(copy, *names)
    assert after.keys() == before.keys()
    differ = {name for name in after if after[name] != before[name]}
    expected = {"measured_jobs.parquet", "costs.html", "costs.pdf"}
    assert {Path(name).name for name in differ} == expected
    said = (copy / "results/embedded/report/costs.html").read_text()
    assert "what it cost, measured on this machine" in said
    assert "2001-01-01" in said
    assert "2001-01-01" not in (copy / "results/embedded/report/report.html").read_text()


def test_a_deleted_or_edited_product_is_made_again(copy):
    before = contents(copy, *SHOWN, "results/embedded/report")
    results = copy / "results/embedded"
    (results / "tables/personalised.csv").unlink()
    with open(results / "report/report.html", "a") as page:
        page.write("edited")
    said = snakemake(copy)
    assert jobs(said) == {"tables": 1, "report": 1}
    note = "altered or deleted since it was made, so it is made again."
    assert f"Note: results/embedded/tables: personalised.csv {note}" in said
    assert f"Note: results/embedded/report: report.html {note}" in said
    assert contents(copy, *SHOWN, "results/embedded/report") == before
    assert planned(copy) == {}


# A part of the grid ---------------------------------------------------------------------------------
def test_a_part_of_a_finished_grid_has_a_report_without_new_runs(copy):
    asked = ("--config", "methods=fedavg", "seeds=0")
    assert jobs(snakemake(copy, *asked)) == PRODUCTS
    (manifest,) = (copy / "results/embedded/tables").glob("tables-*.json")
    assert list(read_json(manifest)["runs"]) == [f"{EXPERIMENT}/fedavg/seed0"]
    assert planned(copy, *asked) == {}
    # What the whole grid was collected to is still there.
    assert planned(copy) == {"tables": 1, "figures": 1, "report": 1}


def test_a_grid_of_controls_or_of_tuning_alone_has_a_report(copy):
    assert jobs(snakemake(copy, "--config", "methods=local")) == PRODUCTS
    change_experiment(copy, score_on="valid", methods=["fedavg"])
    params = scratch.read_params(copy)
    params["experiments"][EXPERIMENT]["partition"]["valid_fraction"] = 0.2
    scratch.write_params(copy, params)
    assert jobs(snakemake(copy)) == {"partition": 2, "federate": 2} | PRODUCTS


def test_what_is_asked_in_vain_and_a_missing_model_stop_before_the_first_job(copy):
    said = snakemake(copy, "--config", "methods=fedavgg", ok=False)
    assert "only.methods: 'fedavgg' is not known; did you mean 'fedavg'" in said
    assert "Building DAG" not in said
    said = snakemake(copy, "--config", "methods=ditto", ok=False)
    assert "only: nothing of scale embedded is left of {'methods': ['ditto']}" in said
    for each in (said, snakemake(copy, "--unlock")):
        assert "Traceback" not in each
    assert planned(copy) == {}


@pytest.mark.slow
def test_the_documented_selections_are_planned(copy):
    for name in ("params.yaml", "src/fedgenbench/data/sources.yaml"):
        shutil.copy2(scratch.REPOSITORY / name, copy / name)
    page = (scratch.REPOSITORY / "docs/running.md").read_text(encoding="utf-8")
    section = page[page.index("## A part of the grid") : page.index("## GPUs")]
    commands = [shlex.split(line)[1:] for line in re.findall(r"^\$ (.*)$", section, re.MULTILINE)]
    assert len(commands) == 5
    for command in commands:
        made = jobs(snakemake(copy, *command))
        assert made["report"] == 1
        assert made["federate" if "papers=fedlmg" not in command else "server"] >= 1


# Trap 1: a changed setting reruns what it touches and only that ---------------------------------------
def test_a_changed_setting_is_seen(copy):
    original = scratch.read_params(copy)
    runs, all_runs = {"federate": 2} | PRODUCTS, {"federate": scratch.RUNS} | PRODUCTS
    for changed, expected in (
        ({"score_rounds": 2}, all_runs),
        ({"seeds": [0, 5]}, {"partition": 1} | runs),
        ({"forecast": original["forecast"] | {"start_seconds": 9.0}}, {}),
    ):
        scratch.write_params(copy, original | changed)
        assert planned(copy) == expected, changed
    scratch.write_params(copy, original)
    change_experiment(copy, methods=["fedavg", "local", "ditto"])
    assert planned(copy) == runs
    scratch.write_params(copy, original)
    assert planned(copy) == {}


# Trap 2: without Snakemake's own records -----------------------------------------------------------
def test_a_change_is_seen_without_records_and_with_favourable_times(copy):
    shutil.rmtree(copy / ".snakemake")
    later = time.time()
    for path in sorted(copy.rglob("results/**/*")):
        os.utime(path, (later, later))
    assert planned(copy) == {}
    change_experiment(copy, rounds=3)
    assert planned(copy) == {"federate": scratch.RUNS} | PRODUCTS


def test_a_return_to_earlier_settings_shows_the_earlier_tables(copy):
    earlier = contents(copy, *SHOWN)
    csv = copy / "results/embedded/tables/personalised.csv"
    kept = copy / "kept.csv"
    os.link(csv, kept)  # as a version store with hard links has it (trap 4)
    original, runs = scratch.read_params(copy), contents(copy, RUNS)
    before = csv.read_bytes()

    change(copy, seeds=[0])
    shutil.rmtree(copy / ".snakemake")
    shown = {"collect": 1, "tables": 1, "figures": 1}
    assert jobs(snakemake(copy, "--until", "tables", "figures")) == shown
    assert csv.read_bytes() != before
    assert kept.read_bytes() == before
    later = contents(copy, *SHOWN)
    manifests = [name for name in later if re.search(r"-[0-9a-f]{10}\.json$", name)]
    assert len(manifests) == len(SHOWN)
    assert not set(manifests) & set(earlier)
    listed = {
        str(Path(name).with_name(file))
        for name in manifests
        for file in read_json(copy / name)["files"]
    }
    assert set(later) == listed | set(manifests)  # nothing of the earlier grid is left

    scratch.write_params(copy, original)
    shutil.rmtree(copy / ".snakemake")
    assert planned(copy) == {"tables": 1, "figures": 1, "report": 1}
    snakemake(copy, "--until", "tables", "figures")
    assert contents(copy, *SHOWN) == earlier
    assert contents(copy, RUNS) == runs


# Trap 3: file times mean nothing, and --touch hides no later change --------------------------------
def test_touch_cures_scrambled_times_and_hides_nothing(copy):
    shutil.rmtree(copy / ".snakemake")
    draw = random.Random(0)
    for path in sorted(copy.rglob("*")):
        moment = time.time() - draw.uniform(0, 1e6)
        os.utime(path, (moment, moment))
    snakemake(copy, "--touch")
    assert planned(copy) == {}
    change(copy, confidence=0.9)
    assert planned(copy) == PRODUCTS
    change(copy, confidence=0.95)
    change_experiment(copy, rounds=3)
    assert planned(copy) == {"federate": scratch.RUNS} | PRODUCTS


# Trap 4: the version store ------------------------------------------------------------------------
def test_the_version_store_keeps_copies(finished):
    config = (scratch.REPOSITORY / ".dvc/config").read_text(encoding="utf-8")
    types = re.findall(r"^\s*type\s*=\s*(.+)$", config, re.MULTILINE)
    assert types in ([], ["copy"])


# Edits of the code ---------------------------------------------------------------------------------
def test_an_edit_reruns_what_it_touches(copy):
    package = copy / "src/fedgenbench"
    for file, expected in (
        ("report/figures.py", {"figures": 1, "report": 1}),
        ("federated/methods/fedavg.py", {"federate": 2} | PRODUCTS),
        ("plan/settings.py", {}),
        ("federated/methods/brand_new.py", {}),
    ):
        text = (package / file).read_text() if (package / file).exists() else ""
        new = "EDITED = 1\n"
        if file.endswith("brand_new.py"):
            new = (package / "federated/methods/local.py").read_text()
        (package / file).write_text(text + "\n\n" + new)
        assert planned(copy) == expected, file
        (package / file).write_text(text) if text else (package / file).unlink()
    for file in ("federated/rounds.py", "core/streams.py", "report/tables.py"):
        (package / file).write_text((package / file).read_text() + "\n# a remark\n")
    edit(package / "models/registry.py", "MODELS = {", 'MODELS = {\n    "new": ("a", "B"),')
    assert planned(copy) == {}


# Damage ------------------------------------------------------------------------------------------
def test_a_flipped_bit_in_the_data_stops_the_run_and_the_cure_costs_one_run(copy):
    (data,) = copy.glob("data/prepared/*/data.safetensors")
    flip(data)
    edit(copy / "rules/jobs.smk", "retries: 1", "retries: 0")
    target = run_folder(copy, "fedavg", 0)
    shutil.rmtree(target)
    metrics = str(target.relative_to(copy) / "metrics.json")
    said = snakemake(copy, metrics, ok=False)
    assert f"federate: {data.relative_to(copy)} does not match the sha256" in said
    assert f"delete {data.parent.relative_to(copy)} and prepare the data set again" in said
    shutil.rmtree(data.parent)
    snakemake(copy, str(data.relative_to(copy)))
    assert planned(copy) == {"federate": 1} | PRODUCTS


def test_a_flipped_bit_in_a_partition_stops_the_run(copy):
    (partition,) = copy.glob("data/partitions/*/seed1-*.json")
    text = partition.read_text(encoding="utf-8")
    at = re.search(r'"train": \[\s*(\d)', text).start(1)
    flip(partition, at)
    edit(copy / "rules/jobs.smk", "retries: 1", "retries: 0")
    target = run_folder(copy, "local", 1)
    shutil.rmtree(target)
    said = snakemake(copy, str(target.relative_to(copy) / "metrics.json"), ok=False)
    assert f"{partition.relative_to(copy)}: the index lists do not match their sha256" in said
    assert "make the partition again" in said


def test_a_flipped_bit_in_metrics_stops_the_tables(copy):
    metrics = run_folder(copy, "local", 0) / "metrics.json"
    at = re.search(rb"0\.(\d)", metrics.read_bytes()).start(1)
    flip(metrics, at)
    (collected,) = copy.glob("results/embedded/collected-*")
    shutil.rmtree(collected)
    target = str(collected.relative_to(copy) / "context.json")
    said = snakemake(copy, target, ok=False)
    assert f"{metrics.relative_to(copy)} does not match its checksum" in said
    assert f"snakemake --cores all --force {metrics.relative_to(copy)}" in said


def test_a_run_of_another_configuration_in_its_place_is_refused(copy):
    mine, other = run_folder(copy, "local", 0), run_folder(copy, "local", 1)
    shutil.rmtree(mine)
    shutil.copytree(other, mine)
    (collected,) = copy.glob("results/embedded/collected-*")
    shutil.rmtree(collected)
    said = snakemake(copy, str(collected.relative_to(copy) / "context.json"), ok=False)
    assert f"{mine.relative_to(copy)}/metrics.json was made by the job {other.name[-10:]}" in said


# Running -----------------------------------------------------------------------------------------
def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what}")


def test_two_runs_at_once_in_one_folder_are_refused(copy):
    wait = 'import time\nwhile not Path("go").exists():\n    time.sleep(0.05)\n'
    edit(copy / "workflow_scripts/tables.py", "with job(", f"{wait}with job(")
    first = scratch.start(copy)
    wait_for(lambda: list(copy.glob(".snakemake/locks/*")))
    (copy / "said.txt").rename(copy / "first.txt")
    said = snakemake(copy, ok=False)
    assert "cannot be locked" in said
    (copy / "go").touch()
    first.join(timeout=120)
    assert first.exitcode == 0


def mark(checkpoint):
    """Leaves a trace in what a checkpoint says of the first round."""
    arrays, facts = checkpoint.get("rounds")
    assert 1 <= facts["round"] < 100
    facts["history"][0]["marked"] = True
    checkpoint.put("rounds", arrays, facts)


def test_a_killed_run_resumes_from_its_checkpoint(copy):
    rounds = copy / "src/fedgenbench/federated/rounds.py"
    edit(rounds, "checkpoint_seconds: float = 15.0", "checkpoint_seconds: float = 0.0")
    change_experiment(copy, rounds=100, methods=["fedavg"])
    change(copy, seeds=[0])
    process = scratch.start(copy, "--until", "federate")
    kept = wait_for(lambda: next(copy.glob("results/checkpoints/**/rounds.safetensors"), None))
    os.killpg(process.pid, signal.SIGKILL)
    process.join(timeout=60)
    digest = kept.parent.name[-10:]
    metrics = copy / f"{RUNS}/fedavg/seed0-{digest}/metrics.json"
    assert not metrics.exists()
    mark(Checkpoint(kept.parent, digest))
    snakemake(copy, "--unlock")
    snakemake(copy, "--until", "federate")
    history = read_json(metrics)["rounds"]
    assert history[0].pop("marked") is True  # it went on from there
    assert [entry["round"] for entry in history] == list(range(1, 101))
    assert not kept.parent.exists()


# Tools -------------------------------------------------------------------------------------------
def lint(folder):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", folder / "tools/lint_workflow.sh"],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path},
        check=False,
    )


def test_the_workflow_is_lint_clean():
    done = lint(scratch.REPOSITORY)
    assert (done.returncode, done.stderr) == (0, "")
    command = [Path(sys.executable).with_name("snakefmt"), "--check", "Snakefile", "rules"]
    subprocess.run(command, cwd=scratch.REPOSITORY, check=True, capture_output=True)


def test_the_linter_fails_where_snakemake_only_tells(tmp_path):
    folder = scratch.make(tmp_path / "copy")
    shutil.copytree(scratch.REPOSITORY / "tools", folder / "tools")
    with open(folder / "rules/data.smk", "a", encoding="utf-8") as file:
        file.write(
            '\nrule bare:\n    output:\n        "a",\n    shell:\n        "touch {output}"\n'
        )
    done = lint(folder)
    assert done.returncode == 1
    assert "Lints for rule bare" in done.stderr
