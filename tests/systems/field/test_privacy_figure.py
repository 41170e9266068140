"""Accuracy against what private clients have spent."""

from dataclasses import replace

import numpy as np
from synthetic_runs import METHODS, results

from fedgenbench.systems.field.figures import figures
from fedgenbench.systems.field.privacy_figure import privacy_figures

EXPERIMENT = "emoji_domains"
SPENT = {"fedprox": 8.0, "scaffold": 2.0}


def with_private_rows():
    """FedProx's and SCAFFOLD's made-up runs stand for FedAvg's under more and more noise."""
    made = results(experiments=(EXPERIMENT,), methods=("fedavg", *SPENT))
    runs = made.runs.assign(
        epsilon=made.runs["method"].map(SPENT), delta=np.where(made.runs["method"] == "x", 0, 1e-3)
    )
    methods = {
        name: METHODS[name] | {"family": "variant", "of": "fedavg", "label": f"σ of {name}"}
        for name in ("fedavg", *SPENT)
    }
    return replace(made, runs=runs, methods=methods)


def test_points_are_epsilon_and_mean_accuracy_and_the_level_is_without_privacy():
    made = with_private_rows()
    (figure,) = privacy_figures(made)
    (axes,) = figure.drawing.axes
    means = 100 * made.by_seed(EXPERIMENT, "personal").mean()
    curve = axes.lines[0]
    np.testing.assert_allclose(curve.get_xdata(), [2.0, 8.0])
    np.testing.assert_allclose(curve.get_ydata(), [means["scaffold"], means["fedprox"]])
    levels = [line.get_ydata()[0] for line in axes.lines if list(line.get_xdata()) == [0, 1]]
    np.testing.assert_allclose(levels, [means["fedavg"]])
    assert "δ = 0.001" in figure.caption
    assert figure.id == f"privacy_{EXPERIMENT}"
    assert figure.id in [each.id for each in figures(made)]


def test_without_private_runs_there_is_no_figure():
    assert privacy_figures(results()) == []
    private = with_private_rows()
    nothing = private.runs.assign(epsilon=np.nan)
    assert privacy_figures(replace(private, runs=nothing)) == []
