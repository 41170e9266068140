"""Distances of features whose value can be told by hand or in closed form."""

import numpy as np
import pytest
import scipy.linalg
import torch

from fedgenbench.core.errors import UserError
from fedgenbench.images.distances import (
    coverage,
    frechet_distance,
    kernel_distance,
    precision_recall,
)


def line(*points):
    return torch.tensor(points, dtype=torch.float32)[:, None]


def normal(seed, count, features):
    return torch.randn(count, features, generator=torch.Generator().manual_seed(seed))


def diagonal(mean, deviations):
    """Two features on each axis, with exactly this mean and these standard deviations."""
    edges = torch.tensor(deviations).diag() * ((2 * len(deviations) - 1) / 2) ** 0.5
    return torch.cat([edges, -edges]) + torch.tensor(mean)


def test_the_kernel_distance_by_hand():
    # One feature, k(x, y) = (xy + 1)³: within {0, 1} it is k(0, 1) = 1, within {2, 3} 343, and the
    # mean between them (1 + 1 + 27 + 64) / 4.
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]])
    assert kernel_distance(a, b) == pytest.approx(1 + 343 - 2 * 93 / 4)


def test_the_kernel_distance_of_one_distribution_is_about_zero():
    draws = torch.randn(3, 2000, 4, generator=torch.Generator().manual_seed(0))
    same = kernel_distance(draws[0], draws[1])
    assert abs(same) < 0.1
    assert kernel_distance(draws[0], draws[2] + 1) > 1


def test_the_frechet_distance_of_diagonal_gaussians():
    a = diagonal([0.0, 1.0, 2.0], [1.0, 2.0, 3.0])
    b = diagonal([3.0, 1.0, -2.0], [2.0, 2.0, 0.5])
    # 9 + 16 between the means; (1 - 2)² + (3 - 0.5)² between the standard deviations.
    assert frechet_distance(a, b) == pytest.approx(25 + 7.25, rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(25 + 7.25, rel=1e-6)


@pytest.mark.parametrize("count", [200, 7])
def test_the_frechet_distance_is_that_of_the_covariances(count):
    # Seven features of twelve numbers have a singular covariance.
    mix = normal(1, 12, 12)
    a, b = normal(2, count, 12), normal(3, count, 12) @ mix + 0.3
    x, y = a.double().numpy(), b.double().numpy()
    s, t = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(s + 1e-12 * np.eye(12))
    inner = np.linalg.eigvalsh(root.real @ t @ root.real).clip(0)
    wanted = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s + t) - 2 * np.sqrt(inner).sum()
    assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("count", [5, 500])
def test_a_set_is_at_no_frechet_distance_from_itself(count):
    a = normal(0, count, 50) ** 2
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a.flip(0)) == pytest.approx(0, abs=1e-9)


def test_precision_and_recall_on_a_line():
    real, fake = line(0, 1, 2, 10), line(1.5, 2.5, 4, 30)
    # To the nearest other one: 1, 1, 1 and 8 for the real points, 1, 1, 1.5 and 26 for the others.
    # Balls of real points hold 1.5, 2.5 and 4 (2 from 10); those of the others 1, 2 and 10.
    assert precision_recall(real, fake, k=1) == (0.75, 0.75)
    # To the second nearest: 2, 1, 2 and 9; 1.5, 1, 1.5 and 26. Real balls hold 4.5, 5 and 6 (all
    # three from 10), the others 10 alone (from 31).
    assert precision_recall(real, line(4.5, 5, 6, 31), k=2) == (0.75, 0.25)


def test_coverage_on_a_line():
    real = line(0, 1, 2, 10)
    assert coverage(real, line(1.5, 1.5, 1.5), k=1) == 0.5
    assert coverage(real, line(2, 2.5), k=1) == 0.75
    assert coverage(real, line(-50, 50), k=1) == 0


def test_copies_are_nearest_neighbours_too():
    # Three equal points: their ball is the point, whose copy it holds and whose neighbour it does not.
    real = torch.full((3, 2048), 0.1)
    assert coverage(real, real[:1], k=2) == 1
    assert coverage(real, real[:1] + 1e-6, k=2) == 0
    assert precision_recall(real, torch.cat([real, real + 1]), k=2) == (0.5, 1)


def test_sets_too_small_are_refused():
    with pytest.raises(UserError, match="at least two features, not 1"):
        frechet_distance(line(1, 2), line(1))
    with pytest.raises(
        UserError, match="the 3-th nearest neighbour needs more than 3 features, not 3"
    ):
        precision_recall(line(1, 2, 3), line(1, 2, 3, 4))
    with pytest.raises(UserError, match="more than 5 features, not 4"):
        coverage(line(1, 2, 3, 4), line(1))
