"""docs/reporting.md: its table and its figure are made as it says, and every module is listed."""

import re
from pathlib import Path

import pytest

from fedgenbench.report import figures, tables

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/reporting.md").read_text(encoding="utf-8")


def test_every_module_is_listed():
    listed = re.findall(r"`([\w*]+)`", TEXT.split("| module | holds |")[1].split("## A table")[0])
    patterns = [name.replace("*", r"\w*") for name in listed]
    for path in (ROOT / "src/fedgenbench/report").glob("[a-z]*.py"):
        assert any(re.fullmatch(pattern, path.stem) for pattern in patterns), path.stem


def test_the_examples_make_a_table_and_a_figure(grid, tmp_path, monkeypatch):
    (tmp_path / "results/smoke/collected-0123456789").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fedgenbench.systems.collected.read_results", lambda folder: grid)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(block, names)
    assert {path.suffix for path in Path("look").iterdir()} == {".tex", ".md", ".html", ".csv"}
    table = names["lead_table"](grid)
    by_row = {row.id: row.cells for row in table.rows}
    scores = grid.by_seed("cifar10-20", "personal")
    lead = 100 * (scores["ditto"] - scores["fedavg"]).mean()
    assert by_row["ditto"][1].interval.mean == pytest.approx(lead)
    assert tables.Cell() not in by_row["ditto"]
    figure = names["rise"](grid, "ditto")
    assert len(figure.drawing.axes) == 3
    means = figure.drawing.axes[1].lines[0].get_ydata()
    assert means[-1] == pytest.approx(100 * scores["ditto"].mean())
    assert all(path.stat().st_size for path in figures.emit(figure, tmp_path))
