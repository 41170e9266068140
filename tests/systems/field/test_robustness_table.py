"""Rules of aggregation beside each other, without and with poisoned clients."""

from dataclasses import replace

import pytest
from synthetic_runs import EXPERIMENTS, METHODS, results

from fedgenbench.systems.field.robustness_table import robustness_tables
from fedgenbench.systems.field.tables import tables

SHARES = {"fashion_mnist-10": 0.2, "cifar10-20": 0.0}
RULE = {"family": "variant", "source": "made up", "of": "scaffold"}


def with_rules():
    """Two experiments of two rules alone, in the places of two methods."""
    shown = {"role": "variants"}
    experiments = {
        name: EXPERIMENTS[name] | shown | {"poisoned": {"share": share, "factor": -5.0}}
        for name, share in SHARES.items()
    }
    made = results(experiments=tuple(SHARES), methods=("fedavg", "fedprox"))
    methods = {
        name: METHODS[name] | RULE | {"label": label}
        for name, label in (("fedavg", "mean"), ("fedprox", "median"))
    }
    return replace(made, experiments=experiments, methods=methods)


def test_rows_are_rules_and_columns_shares_of_poisoned_clients():
    made = with_rules()
    (table,) = robustness_tables(made)
    assert [column.label for column in table.columns] == ["0 % poisoned", "20 % poisoned"]
    for row, (method, label) in zip(
        table.rows, (("fedavg", "mean"), ("fedprox", "median")), strict=True
    ):
        assert row.label == label
        means = [cell.interval.mean for cell in row.cells]
        expected = [100 * made.by_seed(e, "personal")[method].mean() for e in reversed(SHARES)]
        assert means == pytest.approx(expected)
    assert [each.id for each in tables(made)] == ["robustness"]


def test_without_such_an_experiment_there_is_no_table():
    assert robustness_tables(results()) == []
