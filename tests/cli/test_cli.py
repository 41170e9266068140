"""The command line: help without heavy imports, the grid, the settings, and errors as sentences."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cli_places import EXPERIMENT, REPOSITORY

from fedgenbench import cli
from fedgenbench.commands.plan import asked, jobs
from fedgenbench.plan import settings as config


def test_help_loads_nothing_heavy_and_takes_little_time():
    code = (
        "import json, sys, time\n"
        "from fedgenbench.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print(json.dumps([time.process_time(), sorted({n.split('.')[0] for n in sys.modules})]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, modules = json.loads(done.stdout.splitlines()[-1])
    assert not {"torch", "numpy", "pandas", "pydantic", "yaml", "snakemake"} & set(modules)
    assert seconds < 1


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "fedgenbench", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: fedgenbench ")


def test_every_command_is_documented():
    text = (REPOSITORY / "docs/cli.md").read_text(encoding="utf-8")
    for name, command in cli.main.commands.items():
        assert f"fedgenbench {name}" in text
        for option in command.params:
            assert max(option.opts, key=len) in text or option.param_type_name == "argument"


def test_scales_are_those_of_the_settings():
    assert cli.SCALES == config.SCALES


def table(text):
    """Counts by kind of job in a printed plan."""
    rows = re.findall(r"^(\w+) +(\d+) +(\d+)", text, re.MULTILINE)
    return {kind: (int(total), int(finished)) for kind, total, finished in rows}


def test_plan_counts_jobs_by_kind_and_sees_what_is_finished(folder, call):
    (run, *_) = asked(None, {}).of_kind("federate")
    Path(run.folder).mkdir(parents=True)
    Path(run.metrics).write_text("{}")
    counts = table(call("plan"))
    assert counts["fetch"] == counts["prepare"] == (1, 0)
    assert counts["partition"] == (2, 0)
    assert counts["federate"] == (4, 1)
    assert counts["uploads"] == (2, 0)
    assert counts["fit"] == counts["aggregate"]
    assert counts["report"] == (1, 0)
    assert counts["all"] == (sum(total for k, (total, _) in counts.items() if k != "all"), 1)


def test_plan_lists_paths_that_the_workflow_makes(folder, call):
    text = call("plan", "--paths", "--method", "fedavg", "--seed", "1")
    paths = re.findall(r"^[+ ] (results/runs/\S+)$", text, re.MULTILINE)
    assert [path.rsplit("-", 1)[0] for path in paths] == [f"results/runs/{EXPERIMENT}/fedavg/seed1"]


def test_jobs_are_distinct(folder):
    paths = [job.path for job in jobs(asked(None, {}))]
    assert len(paths) == len(set(paths))


def test_forecast_is_the_workflows(folder, call):
    text = call("forecast", "--scale", "smoke")
    assert re.search(rf"^{EXPERIMENT} +2 +2 +4", text, re.MULTILINE)


def test_settings_of_a_scale_are_complete(folder, call):
    found = yaml.safe_load(call("settings", "--scale", "paper"))
    assert found["scale"] == "paper"
    assert found["seeds"] == [0, 1]
    assert found["experiments"][EXPERIMENT]["methods"] == ["local", "fedavg"]


def test_settings_of_an_experiment_say_what_each_row_plays(folder, call):
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    experiment = params["experiments"][EXPERIMENT]
    experiment["methods"] = ["local", "fedprox"]
    experiment["overrides"] = {"fedprox": {"mu": 0.25}}
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    found = yaml.safe_load(call("settings", EXPERIMENT))
    assert found["rows"]["fedprox"] == {"method": "fedprox", "settings": {"mu": 0.25}}
    assert found["experiment"][EXPERIMENT]["model"] == "mlp"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("settings", "fashion_mnist-1"), "did you mean 'fashion_mnist-10'?"),
        (("plan", "--experiment", "no_such"), "only.experiments: 'no_such' is not known"),
        (("forecast", "--method", "fedavgg"), "did you mean 'fedavg'"),
        (("claims",), "has no collected runs to judge from"),
        (("restore",), "embedded.dvc is missing"),
        (("new-method", "FedX"), "cannot name a method"),
        (("new-method", "fedavg"), "there is a method 'fedavg' already"),
        (("new-method", "fedx"), "run in the repository's folder"),
        (("plan", "--scale", "huge"), "huge"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(folder, call, arguments, says):
    (folder / "src").unlink()  # a folder in which no method can be written
    assert says in call(*arguments, status=2)


@pytest.mark.parametrize("command", ["plan", "forecast", "settings", "verify", "claims"])
def test_outside_of_the_repository_the_way_is_said(command, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "params.yaml is missing: run in the repository's folder" in call(command, status=2)


def test_a_package_that_is_not_there_is_named(folder, call, monkeypatch):
    monkeypatch.setitem(sys.modules, "tabulate", None)
    monkeypatch.delitem(sys.modules, "fedgenbench.commands.plan")
    assert "the package tabulate cannot be imported: `make setup`" in call("plan", status=2)
