"""docs/methods.md says what the code does, and its example runs."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tiny import assert_close, make_federation

from fedgenbench.federated.method import METHODS, Method, method_class

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
    _, label, family, _, settings, *_ = ROWS[name]
    assert (label, family) == (cls.label, cls.family)
    assert re.findall(r"`(\w+)`", settings) == list(cls.Settings.model_fields)


def test_no_row_is_left_of_a_method_that_is_gone():
    assert set(ROWS) <= set(METHODS)


def test_every_function_of_the_tutorial_exists():
    functions = TEXT.split("| function | of | says |")[1].split("Rules that")[0]
    names = re.findall(r"`(\w+)\(", functions)
    assert len(names) > 8
    assert all(callable(getattr(Method, name)) for name in names)


def test_the_example_runs_on_both_engines(monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    module = ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)
    exec(code, module.__dict__)
    runs = [
        make_federation(module.FedAvgM, {"momentum": beta}, engine=engine)
        for beta, engine in ((0.9, "sequential"), (0.9, "vmap"), (0.0, "sequential"))
    ]
    for run in runs:
        run.run()
    left, right, still = runs
    assert_close(left.server, right.server)
    plain = make_federation("fedavg")
    plain.run()
    assert_close({"model": still.server["model"]}, plain.server)
