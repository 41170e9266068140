"""``fedgenbench new-method`` writes what the conformance and documentation tests ask for."""

import re
import shutil
from pathlib import Path

import pytest
from cli_places import REPOSITORY


@pytest.fixture
def copy(tmp_path, monkeypatch):
    methods = "src/fedgenbench/federated/methods"
    (tmp_path / methods).mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    shutil.copy(REPOSITORY / "docs/methods.md", tmp_path / "docs/methods.md")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_writes_a_method_and_its_row(copy, call):
    before = Path("docs/methods.md").read_text(encoding="utf-8").splitlines()
    text = call("new-method", "fed_toy")
    assert "fed_toy: {strength: 0.1}" in text
    code = Path("src/fedgenbench/federated/methods/fed_toy.py").read_text()
    names = {}
    exec(code, names)
    method = names["FedToy"]
    assert (method.label, list(method.Settings.model_fields)) == ("FedToy", ["strength"])
    after = Path("docs/methods.md").read_text(encoding="utf-8").splitlines()
    (new,) = [number for number, line in enumerate(after) if line not in before]
    assert after[new].startswith("| `fed_toy` | FedToy | global |")
    assert re.match(r"\| `\w+` \|", after[new - 1])
    assert after[:new] + after[new + 1 :] == before


def test_it_never_writes_over_a_file(copy, call):
    call("new-method", "fed_toy")
    page = Path("docs/methods.md").read_bytes()
    assert "already" in call("new-method", "fed_toy", status=2)
    assert Path("docs/methods.md").read_bytes() == page


@pytest.mark.parametrize("name", ["class", "9fed", "fed-x", "../x", ""])
def test_what_cannot_be_a_module_is_refused(copy, call, name):
    assert "cannot name a method" in call("new-method", name, status=2)
