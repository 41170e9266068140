"""docs/methods.md says what the code does, and its example runs."""

import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tiny import assert_close, make_federation

from fedgenbench.federated.method import METHODS, Method, method_class
from fedgenbench.federated.task import Task
from fedgenbench.federated.types import SGD

TEXT = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("`"): cells
    for line in TEXT.splitlines()
    if re.match(r"\| `\w+` \|", line)
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_its_row(name):
    cls = method_class(name)
    assert name in ROWS, (
        f'docs/methods.md has no row of `{name}`: add one to the table of "What is compared", with its '
        "label, family, source, settings and what travels"
    )
    _, label, family, _, settings, *_ = ROWS[name]
    assert (label, family) == (cls.label, cls.family)
    assert re.findall(r"`(\w+)`", settings) == list(cls.Settings.model_fields)


def test_no_row_is_left_of_a_method_that_is_gone():
    assert set(ROWS) <= set(METHODS)


def test_every_function_of_the_tutorial_exists():
    functions = TEXT.split("| function | of | says |")[1].split("The types are plain")[0]
    told = dict(re.findall(r"`(\w+)\(([\w, ]*)\)`", functions))
    assert len(told) > 15
    for name, names in told.items():
        parameters = list(inspect.signature(getattr(Method, name)).parameters)
        assert parameters == ["self", *filter(None, names.split(", "))], name


def test_no_function_of_the_protocol_is_left_out():
    public = {name for name, value in vars(Method).items() if inspect.isfunction(value)}
    told = set(re.findall(r"`(\w+)\(", TEXT))
    assert {name for name in public if not name.startswith("_")} <= told


def test_what_the_task_has_is_told_as_it_is():
    task = Task(torch.nn.Module(), 2, SGD(0.1))
    part = TEXT.split("`self.task` has:")[1].split("`Phase(")[0]
    for name, names in re.findall(r"`task\.(\w+)(?:\(([^)]*)\))?`", part):
        assert hasattr(task, name), name
        if names:
            told = [each.split("=")[0] for each in names.split(", ")]
            known = list(inspect.signature(getattr(Task, name)).parameters)[1:]
            # "role" in words for what the code calls "slot".
            assert [{"role": "slot"}.get(each, each) for each in told] == known, name


EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.S)


def example(code, monkeypatch):
    module = ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)
    exec(code, module.__dict__)
    return module


def played(method, settings, engine="sequential"):
    run = make_federation(method, settings, engine=engine)
    run.run()
    return run


@pytest.mark.parametrize(
    ("code", "name", "on", "off"),
    [
        (EXAMPLES[0], "FedAvgM", {"momentum": 0.9}, {"momentum": 0.0}),
        (EXAMPLES[1], "FeatureMeans", {"pull": 0.5}, {"pull": 0.0}),
    ],
)
def test_the_examples_run_on_both_engines(code, name, on, off, monkeypatch):
    method = getattr(example(code, monkeypatch), name)
    left, right = (played(method, on, engine) for engine in ("sequential", "vmap"))
    assert_close(left.server, right.server)
    plain, still = played("fedavg", {}), played(method, off)
    assert_close({"model": still.server["model"]}, plain.server)
    moved = left.server["model"]["head.weight"] - plain.server["model"]["head.weight"]
    assert moved.abs().max() > 1e-6


def test_the_second_pass_of_the_example_counts_every_sample(monkeypatch):
    run = played(example(EXAMPLES[1], monkeypatch).FeatureMeans, {"pull": 0.5})
    labels = torch.cat([run.data.y[rows] for rows in run.data.train])
    counts = torch.bincount(labels, minlength=run.method.task.classes)
    assert run.server["means"]["count"].tolist() == counts.tolist()
