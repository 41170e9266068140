"""A sweep by `dvc exp run -S`, compared with what is recorded, and the way back."""

import json
import shutil

import pytest
from scratch import contents

EXPERIMENT = "fashion_mnist-10"
METRICS = "results/embedded/metrics.json"
CURVES = "results/embedded/curves.csv"


@pytest.mark.slow
def test_a_sweep_is_compared_with_the_record_and_leaves_it_alone(recorded, tmp_path, sh):
    folder = shutil.copytree(recorded, tmp_path / "project")
    before = contents(folder, "data", "results/runs")
    metrics = (folder / METRICS).read_bytes()
    setting = f"experiments.{EXPERIMENT}.local.lr"
    sh(folder, "dvc", "exp", "run", "-n", "fast", "-S", f"{setting}=0.5")
    # The runs of the record, and four new ones beside them.
    after = contents(folder, "data", "results/runs")
    assert before.items() <= after.items()
    assert len(after) == len(before) + 2 * 4

    (row,) = json.loads(sh.out(folder, "dvc", "params", "diff", "HEAD", "fast", "--json")).values()
    assert (row[setting]["old"], row[setting]["new"]) == (0.01, 0.5)
    (rows,) = json.loads(
        sh.out(folder, "dvc", "metrics", "diff", "HEAD", "fast", "--json")
    ).values()
    assert set(rows) == {f"{EXPERIMENT}.{method}.personal" for method in ("fedavg", "local")}
    old = json.loads(metrics)[EXPERIMENT]["local"]["personal"]
    new = json.loads((folder / METRICS).read_text())[EXPERIMENT]["local"]["personal"]
    local = rows[f"{EXPERIMENT}.local.personal"]
    assert (local["old"], local["new"]) == (old, new)

    drawn = sh.out(
        folder, "dvc", "plots", "diff", "HEAD", "fast", "--show-vega", "--targets", CURVES
    )
    plot = json.loads(drawn)
    encoding = plot["spec"]["encoding"]
    curve = [plot["facet"], encoding["color"], encoding["strokeDash"]]
    assert [each["field"] for each in curve] == ["experiment", "method", "rev"]
    points = {(*(p[each["field"]] for each in curve), p["round"]) for p in plot["data"]["values"]}
    assert len(points) == len(plot["data"]["values"]) == 2 * 2 * 2  # methods, revisions, rounds

    # Back to the record: its runs are there, and its products are made again.
    sh(folder, "git", "checkout", "-q", "params.yaml")
    sh(folder, "dvc", "repro")
    assert (folder / METRICS).read_bytes() == metrics
    assert contents(folder, "results/runs") == {p: s for p, s in after.items() if "runs/" in p}
