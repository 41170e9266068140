import numpy as np
import pandas as pd
import synthetic_runs

from fedgenbench.systems.field.clients_figure import MOST, client_figures


def test_each_client_is_a_mark_and_the_bar_holds_the_middle_half():
    grid = synthetic_runs.results(2, 1, ("emoji_domains",), ("local", "fedavg", "ditto"))
    (figure,) = client_figures(grid, "personal")
    (axes,) = figure.drawing.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert sorted(names) == ["Ditto", "FedAvg", "Local only"]
    scores = grid.scores[(grid.scores["method"] == "ditto") & (grid.scores["client"] >= 0)]
    scores = scores[scores["metric"] == "personal"]
    clients = 100 * scores.groupby("client")["value"].mean()
    row = names.index("Ditto")
    lines = [line for line in axes.lines if np.mean(line.get_ydata()) == row]
    bar, median, marks = (np.asarray(line.get_xdata()) for line in lines)
    np.testing.assert_allclose(marks, clients)
    np.testing.assert_allclose(bar, clients.quantile([0.25, 0.75]))
    np.testing.assert_allclose(median, clients.median())


def test_many_clients_have_no_marks_and_no_clients_no_figure():
    grid = synthetic_runs.results(1, 1, ("emoji_domains",), ("fedavg", "ditto"))
    scores = grid.scores[grid.scores["client"] == 0]
    many = [scores.assign(client=client) for client in range(MOST + 1)]
    (figure,) = client_figures(
        synthetic_runs.results(
            1, 1, ("emoji_domains",), ("fedavg", "ditto"), scores=pd.concat(many)
        ),
        "personal",
    )
    assert len(figure.drawing.axes[0].lines) == 2 * 2
    alone = grid.scores[grid.scores["client"] == -1]
    grid = synthetic_runs.results(1, 1, ("emoji_domains",), ("fedavg", "ditto"), scores=alone)
    assert client_figures(grid, "personal") == []
