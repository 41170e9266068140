"""A fourth paper: what `fedgenbench new-system` writes is planned, run, collected and reported."""

import csv

import pytest
import scratch

from fedgenbench.commands.new_system import add
from fedgenbench.core.errors import UserError


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for part in ("Snakefile", "rules", "workflow_scripts", "src", "params.yaml")
        for path in (folder / part, *(folder / part).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = scratch.make(tmp_path_factory.mktemp("fourth") / "copy")
    (folder / "tests/systems").mkdir(parents=True)
    before = files(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        said = add("toy_paper")
    params = scratch.read_params(folder)
    experiment = params["experiments"][scratch.EXPERIMENT]
    experiment |= {"methods": ["fedavg"], "toy_paper": {"least": 2}}
    scratch.write_params(folder, params)
    scratch.snakemake(folder)
    return folder, before, said


def test_nothing_that_was_there_is_edited_but_the_settings(finished):
    folder, before, said = finished
    after = files(folder)
    assert {path.name for path in before if before[path] != after[path]} == {"params.yaml"}
    new = {path.parts[:4] for path in after.keys() - before.keys()}
    assert new == {("src", "fedgenbench", "systems", "toy_paper")}
    assert "toy_paper: {least: 10}" in said


def test_its_job_ran_in_each_repetition(finished):
    folder, _, _ = finished
    jobs = sorted(folder.glob(f"results/runs/{scratch.EXPERIMENT}/toy_paper_count-all/*"))
    assert [job.name.split("-")[0] for job in jobs] == ["seed0", "seed1"]
    assert all((job / file).is_file() for job in jobs for file in ("metrics.json", "run.json"))


def test_its_table_stands_in_the_report(finished):
    folder, _, _ = finished
    (path,) = folder.glob("results/*/tables/toy_paper_classes.csv")
    with open(path, encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert 1 <= float(row["mean"]) <= 10
    assert int(row["n"]) == 2
    (page,) = folder.glob("results/*/report/setup.html")
    text = page.read_text(encoding="utf-8")
    assert "ToyPaper" in text
    assert "Classes that a client holds" in text


def test_its_settings_are_checked_before_work_starts(finished):
    folder, _, _ = finished
    params = scratch.read_params(folder)
    params["experiments"][scratch.EXPERIMENT]["toy_paper"] = {"least": 1000}
    scratch.write_params(folder, params)
    said = scratch.snakemake(folder, "-n", ok=False)
    assert "toy_paper.least: 1000 of 20 images a client: lower it" in said


@pytest.mark.parametrize("name", ["Toy", "toy-paper", "class", "", "fedavg", "warmfed", "guided"])
def test_a_name_that_cannot_be_one_is_refused(name):
    with pytest.raises(UserError, match=r"choose another name|cannot name a system"):
        add(name)
