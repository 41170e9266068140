"""Grids that users cut down have their tables, texts, claims and figures."""

from dataclasses import replace

import pytest
import synthetic_fedlmg
import synthetic_pfedgpa

from fedgenbench.report.collect import summary
from fedgenbench.systems.base import parts
from fedgenbench.systems.claims import judged

FRAMES = ("scores", "rounds", "runs", "server", "weights", "newcomers", "synthesis", "fedlmg")


@pytest.fixture(scope="module")
def wholes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fedlmg")
    return {"pfedgpa": synthetic_pfedgpa.results(), "others": synthetic_fedlmg.results(folder)}


def cut(whole, role, methods=None, seeds=None):
    """The results of a grid that holds one role's experiments, these methods and seeds alone."""
    names = [name for name, entry in whole.experiments.items() if entry["role"] == role]
    part = whole.select(experiments=names, methods=methods)
    frames = {name: getattr(part, name) for name in FRAMES}
    if seeds is not None:
        frames = {name: frame[frame["seed"].isin(seeds)] for name, frame in frames.items()}
    for frame, owner in (("weights", "pfedgpa"), ("newcomers", "pfedgpa"), ("fedlmg", "fedlmg")):
        if methods is not None and owner not in methods:
            frames[frame] = frames[frame].iloc[:0]
    runs = frames["runs"]
    known = {
        method: part.methods[method] for method in part.methods if (runs["method"] == method).any()
    }
    return replace(part, whole=None, absent={}, methods=known, **frames)


@pytest.mark.parametrize(
    ("whole", "role", "methods", "seeds"),
    [
        ("others", "oneshot", None, None),
        pytest.param("others", "oneshot", None, [0], marks=pytest.mark.slow),
        ("pfedgpa", "tuning", None, None),
        pytest.param("pfedgpa", "main", ["fedavg"], None, marks=pytest.mark.slow),
        ("pfedgpa", "main", ["local"], [0]),
        ("pfedgpa", "main", ["pfedgpa"], [0]),
        pytest.param("pfedgpa", "main", ["pfedgpa_own"], None, marks=pytest.mark.slow),
        ("others", "main", ["warmfed"], [0]),
        pytest.param("others", "main", ["fedavg", "warmfed"], None, marks=pytest.mark.slow),
        pytest.param("others", "main", ["fedavg_warm"], None, marks=pytest.mark.slow),
    ],
)
def test_a_part_of_a_grid_has_its_report(wholes, whole, role, methods, seeds):
    results = cut(wholes[whole], role, methods, seeds)
    assert [table for _, system in parts("tables") for table in system.tables(results)]
    for _, system in parts("figures"):
        assert all(figure.caption for figure in system.figures(results))
    assert all(judged(results).values())
    sections = {name: system.section(results, ()) for name, system in parts("section")}
    assert all(section.text for section in sections.values())
    metrics, _ = summary(results.scores, results.rounds, results.fedlmg)
    assert set(metrics) == {name for name in results.experiments if metrics.get(name)}
