"""The toy table of papers/pfedgpa.md §3.3."""

import math

import pytest

from fedgenbench.systems.pfedgpa.diffusion import T
from fedgenbench.systems.pfedgpa.toy import table

# (variant, eta, start) -> change, correlation, residual as the sheet prints them.
SHEET = {
    ("dpm_encoder", 1.0, T): (0.010, 0.999, 0.30),
    ("dpm_encoder", 1.0, 100): (0.010, 0.999, 0.30),
    ("ddim", None, T): (0.003, 1.000, 0.30),
    ("dpm_encoder", 0.9, T): (0.03, 0.999, 0.27),
    ("dpm_encoder", 0.7, T): (0.09, 0.999, 0.21),
    ("dpm_encoder", 0.5, T): (0.15, 0.999, 0.15),
    ("forward_plus", None, T): (0.43, 0.0, 0.30),
    ("forward_plus", None, 100): (0.41, 0.34, 0.39),
    ("forward_minus", None, 100): (0.19, 0.85, 0.16),
    ("forward_minus", None, 50): (0.08, 0.996, 0.22),
    ("sdedit", None, T): (0.42, 0.0, 0.30),
    ("sdedit", None, 200): (0.39, 0.14, 0.30),
    ("sdedit", None, 50): (0.20, 0.77, 0.30),
}


@pytest.fixture(scope="module")
def rows():
    return {(row.variant, row.eta, row.start): row for row in table(seed=0)}


@pytest.mark.parametrize("key", SHEET)
def test_a_row_of_the_sheet(rows, key):
    row, (change, correlation, residual) = rows[key], SHEET[key]
    assert row.change == pytest.approx(change, abs=0.015)
    assert row.correlation == pytest.approx(correlation, abs=0.03)
    assert row.residual == pytest.approx(residual, abs=0.015)


def test_the_sheets_exact_row_leaves_out_the_lowest_noise(rows):
    """With it the identity is exact; without it the error is √(1 − ᾱ_0) = 0.01, as printed there."""
    assert rows["dpm_encoder", 1.0, T].change < 1e-6
    assert rows["edit_friendly", 1.0, T].change == pytest.approx(0.010, abs=5e-4)


def test_without_noise_only_the_centre_is_left(rows):
    row = rows["dpm_encoder", 0.0, T]
    assert row.residual < 0.01
    assert abs(row.correlation) < 0.05


def test_groups_are_kept_but_from_the_top_of_the_chain(rows):
    """x_T holds next to nothing of the group: five groups, and what decodes x_T anew keeps its own
    with probability about 0.23. Scaled noises keep most; a start at 300 or below keeps all."""
    for (variant, eta, start), row in rows.items():
        if start < T or eta in (0.9, 1.0) or variant == "ddim":
            assert row.kept == 1
            assert math.isnan(row.strayed)
    for eta in (0.7, 0.5):
        assert rows["dpm_encoder", eta, T].kept >= 0.6
    for key in [("sdedit", None, T), ("forward_plus", None, T), ("forward_minus", None, T)]:
        assert rows[key].kept <= 0.6
        assert rows[key].strayed == pytest.approx(1.37, abs=0.08)
