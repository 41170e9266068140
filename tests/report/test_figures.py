import json
import re
import warnings
from dataclasses import replace
from itertools import pairwise

import matplotlib
import pytest
import synthetic_runs

from fedgenbench.core.errors import UserError
from fedgenbench.report import figures
from fedgenbench.systems.field.figures import (
    accuracy_curves,
    communication,
    final_accuracies,
)
from fedgenbench.systems.field.figures import figures as field_figures

BUILDERS = {
    "curves": lambda grid: accuracy_curves(grid, "emoji_domains"),
    "final": lambda grid: final_accuracies(grid, "personal"),
    "communication": lambda grid: communication(grid, "global"),
}


def texts(figure):
    return [text.get_text() for text in figure.drawing.findobj(matplotlib.text.Text)]


@pytest.mark.parametrize("name", BUILDERS)
def test_equal_results_give_equal_bytes(grid, tmp_path, name):
    first = figures.emit(BUILDERS[name](grid), tmp_path / "a")
    second = figures.emit(BUILDERS[name](synthetic_runs.results()), tmp_path / "b")
    assert [path.suffix for path in first] == [".svg", ".png", ".pdf", ".json"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    svg = first[0].read_text()
    assert "<dc:date>" not in svg
    assert not re.search(r'(?:href|src)="(?!#)', svg)
    assert json.loads(first[3].read_text())["caption"]


@pytest.mark.parametrize("name", BUILDERS)
def test_every_method_is_named(grid, name):
    figure = BUILDERS[name](grid)
    metric = "global" if name == "communication" else "personal"
    methods = grid.by_seed("emoji_domains", metric).columns
    assert {grid.label(method) for method in methods} <= set(texts(figure))


def test_names_that_the_font_lacks_stand_as_code_points(tmp_path):
    methods = ("local", "centralised", "fedavg")
    grid = synthetic_runs.results(3, 2, ("fashion_mnist-10",), methods)
    experiment = grid.experiments["fashion_mnist-10"] | {"title": "犬 Ω Привет $x$ \\alpha"}
    named = dict(grid.methods) | {"fedavg": grid.methods["fedavg"] | {"label": "猫=α"}}
    grid = replace(grid, experiments={"fashion_mnist-10": experiment}, methods=named)
    for build in (final_accuracies, communication):
        figure = build(grid, "personal")
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # matplotlib warns of a missing glyph
            paths = figures.emit(figure, tmp_path)
        assert {"[U+732B]=α", "[U+72AC] Ω Привет $x$ \\alpha"} <= set(texts(figure))
        caption = json.loads(paths[3].read_text())["caption"]
        assert "The font of figures lacks 犬 (U+72AC), 猫 (U+732B): code points stand" in caption


def test_labels_keep_apart(grid):
    figure = communication(grid, "personal")
    axes = figure.drawing.axes[0]
    names = {entry["label"] for entry in grid.methods.values()}
    places = sorted(text.get_position()[1] for text in axes.texts if text.get_text() in names)
    low, high = axes.get_ylim()
    line = figures.LINE / (axes.get_position().height * figure.drawing.get_figheight())
    gaps = [b - a for a, b in pairwise(places)]
    assert len(places) == len(names)
    assert min(gaps) >= (high - low) * line * 0.999


def test_a_method_keeps_its_colour_in_a_part_of_the_results(grid):
    part = grid.select(methods=["fedavg", "warmfed"])
    whole = {m: figures.colour_of(grid, m) for m in part.methods}
    assert {m: figures.colour_of(part, m) for m in part.methods} == whole


@pytest.mark.parametrize("seeds", [1, 2])
def test_small_grids_draw(tmp_path, seeds):
    methods = ("local", "centralised", "fedavg")
    grid = synthetic_runs.results(seeds, 2, ("fashion_mnist-10",), methods)
    for figure in (
        accuracy_curves(grid, "fashion_mnist-10"),
        final_accuracies(grid, "personal"),
        communication(grid, "personal"),
    ):
        assert all(path.stat().st_size for path in figures.emit(figure, tmp_path))


def test_controls_alone_give_what_they_can(tmp_path):
    grid = synthetic_runs.results(3, 2, ("fashion_mnist-10",), ("local", "centralised"))
    drawn = field_figures(grid)
    assert [figure.id for figure in drawn] == [
        *("communication_personal", "final_personal", "clients_personal")
    ]
    assert all(path.stat().st_size for figure in drawn for path in figures.emit(figure, tmp_path))


def test_a_metric_that_no_run_has_is_named(grid):
    with pytest.raises(UserError, match="'start'"):
        final_accuracies(grid, "start")


def test_drawing_leaves_the_global_style_alone(grid):
    before = dict(matplotlib.rcParams)
    final_accuracies(grid, "personal")
    assert dict(matplotlib.rcParams) == before
