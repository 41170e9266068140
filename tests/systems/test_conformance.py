"""What holds of every system: a new folder is found and tested by itself."""

import ast
import inspect
import json
import re
import subprocess
import sys
from importlib import import_module
from itertools import permutations
from pathlib import Path

import pytest
import yaml
from measured_jobs import frames

from fedgenbench.plan.grid import Grid
from fedgenbench.plan.settings import load
from fedgenbench.systems.base import FOLDER, kinds, parts, systems

SYSTEMS = systems()
KINDS = [pytest.param(kind, id=name) for name, kind in kinds().items()]
WITH_SETTINGS = [name for name, system in SYSTEMS.items() if system.settings]
# Beside its own modules, what a system may import of this package.
SHARED = {"base", "comparisons", "job", "work"}
# Kinds that leave files for others and say nothing in numbers.
WITHOUT_MEASURES = {"uploads"}
SAFE = {".json", ".parquet", ".png", ".safetensors"}


@pytest.fixture(scope="module")
def grids():
    _, scales = load(FOLDER.parents[2] / "params.yaml")
    return {name: Grid(settings, scales["paper"]) for name, settings in scales.items()}


@pytest.fixture(autouse=True)
def _here(in_the_repository):
    pass


def test_each_folder_is_one_system_and_each_kind_belongs_to_one():
    assert {path.parent.name for path in FOLDER.glob("*/system.py")} == set(SYSTEMS)
    assert all(
        SYSTEMS[name] is import_module(f"fedgenbench.systems.{name}.system").SYSTEM
        for name in SYSTEMS
    )
    assert len({system.order for system in SYSTEMS.values()}) == len(SYSTEMS)
    assert len(kinds()) == sum(len(system.kinds) for system in SYSTEMS.values())


def test_to_know_the_systems_loads_nothing_heavy():
    code = (
        "import sys; from fedgenbench.systems.base import systems; systems(); "
        "print({'torch', 'diffusers', 'pandas', 'numpy', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", WITH_SETTINGS)
def test_a_block_comes_back_from_yaml_and_from_json_as_it_was(name):
    block_type = SYSTEMS[name].settings
    _, scales = load()
    blocks = [
        block
        for settings in scales.values()
        for experiment in settings.experiments.values()
        if (block := experiment.block(name))
    ]
    assert blocks, f"no experiment of params.yaml has a block {name}"
    for block in blocks:
        assert type(block) is block_type
        content = block.model_dump(mode="json")
        assert block_type.model_validate(yaml.safe_load(yaml.safe_dump(content))) == block
        assert block_type.model_validate(json.loads(json.dumps(content))) == block
        assert block_type.model_validate_json(block.model_dump_json()) == block


@pytest.mark.parametrize("name", WITH_SETTINGS)
def test_each_setting_of_a_block_is_described(name):
    schema = SYSTEMS[name].settings.model_json_schema()
    undescribed = [
        f"{title}.{key}"
        for title, part in {name: schema, **schema.get("$defs", {})}.items()
        for key, entry in part.get("properties", {}).items()
        if "description" not in entry
    ]
    assert undescribed == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_kinds_function_is_its_systems_own_and_takes_the_context(kind):
    (owner,) = (name for name, system in SYSTEMS.items() if kind in system.kinds)
    assert kind.module.startswith(f"fedgenbench.systems.{owner}.")
    run = getattr(import_module(kind.module), kind.run.partition(":")[2])
    assert list(inspect.signature(run).parameters) == ["context"]
    assert inspect.getdoc(run)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_leaves_files_that_are_safe_to_open(kind):
    assert {Path(file).suffix for file in kind.files.values()} <= SAFE
    assert len(set(kind.files.values())) == len(kind.files)
    assert set(kind.pictures) <= set(kind.outputs)


def test_each_kind_says_its_measures_or_is_named_as_one_without():
    measured = {name: set(module.MEASURES) for name, module in parts("measurements")}
    for name, system in SYSTEMS.items():
        own = {kind.name for kind in system.kinds}
        assert own - WITHOUT_MEASURES == measured.get(name, set())


def test_each_frame_of_measurements_has_its_columns_without_any():
    empty = frames([])
    for _, module in parts("measurements"):
        for name in module.FRAMES:
            assert empty[name].empty
            assert {"experiment", "seed", "client", "value"} <= set(empty[name])


def test_rows_of_kinds_do_not_overlap(grids):
    names = {job.name for grid in grids.values() for job in grid.jobs.values()} | set(kinds())
    for one, other in permutations(kinds().values(), 2):
        rows = {one.row(name) for name in names}
        assert all(re.fullmatch(one.rows, row) for row in rows)
        assert not any(re.fullmatch(other.rows, row) for row in rows), (one.name, other.name)


@pytest.mark.parametrize("kind", KINDS)
def test_jobs_of_a_kind_fit_it(grids, kind):
    jobs = [job for grid in grids.values() for job in grid.of_kind(kind.name)]
    assert jobs, f"no experiment of params.yaml asks for a {kind.name}"
    for job in jobs:
        assert (job.partition is not None) == kind.partition
        assert set(job.inputs) <= set(kind.inputs)
        assert json.loads(json.dumps(job.settings)).keys() == job.settings.keys()
        for name, before in job.inputs.items():
            assert len(job.input_files(name)) == len(before)
            assert all(each.seed == job.seed for each in before)


@pytest.mark.parametrize("name", SYSTEMS)
def test_no_system_imports_another(name):
    foreign = {
        f"{path.name}: {module}"
        for path in (FOLDER / name).rglob("*.py")
        for module in _imported(path)
        if module.startswith("fedgenbench.systems.") and module.split(".")[2] not in SHARED | {name}
    }
    assert foreign == set()


def _imported(path):
    """The modules that a file imports, wherever the import stands in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            # The names may be modules themselves: `from fedgenbench.systems import fedlmg`.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("part", ["tables", "figures", "section"])
def test_the_parts_of_a_report_have_their_function(part):
    for name, module in parts(part):
        assert callable(getattr(module, part)), name
