import re
from pathlib import Path

from cli_places import EXPERIMENT

from fedgenbench.report.statistics import Interval
from fedgenbench.report.table_formats import emit
from fedgenbench.report.tables import Cell, Column, Row, Table


def test_a_table_and_a_row_of_it(folder, call):
    cell = Cell("81.2 ± 0.6", False, Interval(81.2, 80.6, 81.8, 3))
    rows = (
        Row("fedavg", "FedAvg", (cell,), "Global"),
        Row("local", "Local", (Cell(),)),
        Row("gain", "Gain", (Cell(),), jobs=("federate-fedavg", "federate-local")),
    )
    places = Path("results/embedded/tables")
    places.mkdir(parents=True)
    emit(
        Table("main", "Accuracy", (Column("Mean", "CIFAR-10", "%", experiment=EXPERIMENT),), rows),
        places,
    )
    line = "Global / FedAvg / CIFAR-10 / Mean: 81.2 ± 0.6 % [80.6, 81.8], 3 seeds"
    others = [f"{name} / CIFAR-10 / Mean: n/a %" for name in ("Local", "Gain")]
    assert call("show", "main").splitlines() == [line, *others]
    said = call("show", "main/fedavg").splitlines()
    assert said[0] == line
    assert re.fullmatch(
        rf"  snakemake results/runs/{EXPERIMENT}/fedavg/seed0-\w{{10}}/metrics.json", said[2]
    )
    behind = call("show", "main/gain").split("Jobs behind it:")[1]
    assert {path.split("/")[3] for path in behind.split() if "/" in path} == {"fedavg", "local"}
    assert "did you mean 'fedavg'?" in call("show", "main/fedavgg", status=2)
    assert "did you mean 'main'?" in call("show", "mainn", status=2)


def test_a_job_by_its_digest(folder, call):
    path = next(line for line in call("plan", "--paths").splitlines() if "/fedavg/seed0-" in line)
    digest = re.search(r"seed0-(\w{10})", path)[1]
    said = call("show", digest)
    assert f"{EXPERIMENT}/fedavg/seed0, digest {digest}, not made yet" in said
    assert "    batch_size: 50" in said


def test_a_claim_by_its_name(folder, call):
    said = call("show", "warmfed-4")
    assert said.startswith("One-shot, WarmFed's global model is above FGL's.")
    assert "shape: above" in said
