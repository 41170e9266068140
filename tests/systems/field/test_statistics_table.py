"""Running statistics beside those of the weights."""

from dataclasses import replace

import pytest
from synthetic_runs import METHODS, results

from fedgenbench.systems.field.statistics_table import statistics_tables
from fedgenbench.systems.field.tables import tables

OLD = {"label": "running statistics", "family": "variant", "source": "made up", "of": "fedavg"}


def with_variant():
    """FedProx's made-up runs stand for FedAvg's under running statistics."""
    methods = METHODS | {"fedprox": OLD | {"statistics": "running", "start": None}}
    return replace(results(experiments=("emoji_domains",)), methods=methods)


def test_a_variant_stands_beside_its_method():
    made = with_variant()
    (table,) = statistics_tables(made)
    (row,) = table.rows
    assert row.label == "FedAvg"
    for metric, cells in (("global", row.cells[:3]), ("personal", row.cells[3:])):
        scores = made.by_seed("emoji_domains", metric)
        means = [cell.interval.mean for cell in cells]
        weights, running = scores["fedavg"].mean(), scores["fedprox"].mean()
        assert means == pytest.approx([100 * weights, 100 * running, 100 * (weights - running)])
    assert table.id in [each.id for each in tables(made)]


def test_without_such_a_variant_there_is_no_table():
    assert statistics_tables(results()) == []
