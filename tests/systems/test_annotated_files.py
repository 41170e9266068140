import synthetic_runs

from fedgenbench.report import figures
from fedgenbench.systems.annotated_files import write_annotated
from fedgenbench.systems.field.figures import final_accuracies


def test_every_table_and_figure_has_a_page_by_its_system(tmp_path):
    grid = synthetic_runs.results(2, 2, ("fashion_mnist-10",), ("local", "centralised", "fedavg"))
    figure = final_accuracies(grid, "personal")
    figures.emit(figure, tmp_path / "figures")
    figures.write_order({"field": [figure]}, tmp_path / "figures")
    paths = write_annotated(grid, tmp_path / "figures", tmp_path / "annotated")
    names = {str(path.relative_to(tmp_path / "annotated")) for path in paths}
    assert "Figures/field/final_personal.html" in names
    assert "Tables/field/personalised.html" in names
    assert names == {
        str(path.relative_to(tmp_path / "annotated")) for path in tmp_path.rglob("annotated/*/*/*")
    }
    picture = (tmp_path / "annotated/Figures/field/final_personal.html").read_text()
    assert f"<figcaption>{figure.caption}</figcaption>" in picture
    assert "data:image/svg+xml;base64," in picture
    table = (tmp_path / "annotated/Tables/field/personalised.html").read_text()
    assert table.count("<table") == 1
    assert "FedAvg</th>" in table
