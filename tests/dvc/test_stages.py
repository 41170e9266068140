"""What each phase of dvc.yaml depends on, against what its scripts really use."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from fedgenbench.systems.base import kinds, modules

ROOT = Path(__file__).parents[2]
STAGES = {
    name: stage["do"]
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
}
RULES = {"data": ["data"], "runs": ["jobs"], "report": ["report"]}
# What is loaded by a name that is put together: jobs, and the systems' parts of a report.
BY_NAME = {
    "runs": [kind.module for kind in kinds().values()],
    "report": [name for part in ("measurements", "tables", "figures") for name in modules(part)],
}


def module_files(name):
    """The source files of ``a.b.c`` and of the packages around it, as far as there are any."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        place = ROOT.joinpath("src", *parts[:end])
        found = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if found.is_file():
            yield found


def imports(path):
    """Files of this repository that a file imports anywhere, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # A module that is loaded by its name.
            names = [node.value] if re.fullmatch(r"fedgenbench(\.\w+)+", node.value) else []
        for name in names:
            if name.split(".")[0] == "fedgenbench":
                yield from module_files(name)


def closure(files):
    seen, queue = set(), list(files)
    while queue:
        path = queue.pop()
        if path not in seen:
            seen.add(path)
            queue += imports(path)
    return seen


def used(stage):
    """Every file of this repository that a phase reads: its rules, their scripts, what these import."""
    rules = [ROOT / f"rules/{name}.smk" for name in (*RULES[stage], "common")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in rules)
    scripts = {ROOT / "rules" / script for script in re.findall(r'script:\s+"(.+?)"', text)}
    scripts = {script.resolve() for script in scripts}
    assert scripts
    assert all(script.is_file() for script in scripts)
    names = ["fedgenbench.plan.settings", "fedgenbench.plan.grid", *BY_NAME.get(stage, ())]
    files = [file for name in names for file in module_files(name)]
    return {*rules, ROOT / "Snakefile", *closure([*scripts, *files])}


@pytest.mark.parametrize("stage", STAGES)
def test_a_phase_depends_on_all_that_it_uses(stage):
    files = used(stage)
    assert ROOT / "src/fedgenbench/core/streams.py" in files or stage == "report"
    assert len(files) > 20
    places = [ROOT / dep for dep in STAGES[stage]["deps"]]
    assert not [
        str(file.relative_to(ROOT))
        for file in sorted(files)
        if not any(place == file or place in file.parents for place in places)
    ]


def test_every_rule_file_belongs_to_a_phase():
    # The foundation models are no phase: their weights are in Git.
    known = {name for names in RULES.values() for name in names} | {"common", "foundation"}
    assert {path.stem for path in (ROOT / "rules").glob("*.smk")} == known


@pytest.mark.parametrize("stage", STAGES)
def test_a_phase_depends_on_every_setting_and_on_things_that_exist(stage):
    assert STAGES[stage]["params"] == [{"params.yaml": None}]
    for dep in STAGES[stage]["deps"]:
        assert (ROOT / dep).exists() or dep.startswith("results/${item}/"), dep


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_holds_no_output_that_it_could_delete(stage):
    kinds = [STAGES[stage].get(kind, []) for kind in ("outs", "metrics", "plots")]
    outputs = {path: options for kind in kinds for out in kind for path, options in out.items()}
    assert outputs
    for path, options in outputs.items():
        assert (options["cache"], options["persist"]) == (False, True), path
        assert path.startswith("results/${item}/")
