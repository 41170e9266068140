"""A fresh clone shows recorded results without computing, and tells what it has reproduced."""

import json
import re

import pytest
import scratch
from scratch import contents

from fedgenbench.core.files import read_json
from fedgenbench.core.reports import run_file, save_report

RUNS = "results/runs/fashion_mnist-10"
RECORDS = "results/embedded/records"
MADE = "results/embedded/from_records"


@pytest.fixture
def report(sh):
    """Calls the command in a folder."""

    def called(folder, ok=True):
        said = sh(folder, "fedgenbench", "report", ok=ok)
        assert "Traceback" not in said
        return said

    return called


def test_a_clone_has_the_recorded_tables_and_figures_and_has_computed_nothing(
    recorded, clone, report
):
    said = report(clone)
    assert "Reproduced here: 0 of 4, byte for byte." in said
    assert not (clone / "results/runs").exists()
    for part in ("tables", "figures"):
        made = {k: v for k, v in contents(clone, f"{MADE}/{part}").items()}
        there = contents(recorded, f"results/embedded/{part}")
        theirs = {k.split("/")[-1]: v for k, v in there.items() if f"{part}-" not in k}
        assert {k.split("/")[-1]: v for k, v in made.items()} == theirs
    assert "Reproduced here: 0 of 4" in (clone / MADE / "report/report.html").read_text()


def test_what_was_computed_here_is_compared_and_what_differs_is_named(clone, sh, report):
    sh.runtime(clone, "restore")
    assert "Reproduced here: 4 of 4, byte for byte." in report(clone)
    before = contents(clone, RECORDS)
    path = next((clone / RUNS / "fedavg").glob("seed1-*/metrics.json"))
    content, record = read_json(path), read_json(run_file(path))
    del content["checksum"]
    content["rounds"][1]["personal"][0] += 0.1
    save_report(path, content, record)
    said = report(clone, ok=False)
    assert "Reproduced here: 3 of 4" in said
    assert "Other bytes than recorded have 1 job here." in said
    assert "fashion_mnist-10/fedavg/seed1: first in round 2, personal is" in said
    assert contents(clone, RECORDS) == before
    told = json.loads((clone / "results/embedded/reproduced.json").read_text())
    assert (told["recorded"], told["reproduced"], len(told["differing"])) == (4, 3, 1)


def test_a_method_of_ones_own_stands_beside_recorded_rows(clone, sh, report):
    sh.runtime(clone, "restore")
    params = scratch.read_params(clone)
    params["experiments"][scratch.EXPERIMENT]["methods"] += ["fedprox"]
    scratch.write_params(clone, params)
    (job,) = re.findall(r"\S*/fedprox/seed0-\S*", sh.out(clone, "fedgenbench", "plan", "--paths"))
    scratch.snakemake(clone, job)
    said = report(clone)
    assert "1 job that were computed here stand beside the recorded ones" in said
    table = (clone / MADE / "tables/personalised.csv").read_text()
    assert all(label in table for label in ("FedAvg", "FedProx", "Local only"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: p | {"seeds": [1, 2]}, "drops 1 recorded seed, 0: an interval over a part"),
        (
            lambda p: p["experiments"][scratch.EXPERIMENT].update(rounds=3) or p,
            "is not what was recorded: its rounds is 3, recorded 2. Give the changed experiment",
        ),
    ],
)
def test_other_settings_than_recorded_are_refused(clone, report, change, said):
    scratch.write_params(clone, change(scratch.read_params(clone)))
    assert said in report(clone, ok=False)
    assert not (clone / MADE).exists()
