"""How far two sets of features [N, F] and [M, F] are apart, whatever network they come from."""

from __future__ import annotations

import torch
from torch import Tensor

from fedgenbench.core.errors import UserError


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """The kernel distance of [N, F] and [M, F]: KID, where the features are the Inception graph's.

    Bińkowski et al. (2018), §3 and eq. (4): the unbiased squared MMD with k(x, y) = (x·y/F + 1)³; it
    is zero in expectation for draws of one distribution, and may be below.
    """

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        matrix = kernel(x, x)
        return (matrix.sum() - matrix.diagonal().sum()) / (len(x) * (len(x) - 1))

    a, b = a.double(), b.double()
    return float(within(a) + within(b) - 2 * kernel(a, b).mean())


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """The squared Fréchet distance of two Gaussians with the means and covariances of [N, F], [M, F].

    Heusel et al. (2017); with features of the Inception graph it is FID. It is biased
    upwards, the more the fewer the features: compare sets of equal size alone, and below a few
    thousand prefer ``kernel_distance``. ``UserError`` if a set has fewer than two.
    """
    mean_a, root_a = _moments(a)
    mean_b, root_b = _moments(b)
    # Where S = RᵀR and T = QᵀQ, the trace of √(ST) is the sum of the singular values of RQᵀ: real
    # and exact for singular covariances too, which a square root of the product is not.
    between = torch.linalg.svdvals(root_a @ root_b.T).sum()
    squares = (mean_a - mean_b).square().sum() + root_a.square().sum() + root_b.square().sum()
    return float(squares - 2 * between)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """The mean [F] and a matrix R with at most F rows, whose RᵀR is the covariance."""
    if len(x) < 2:
        raise UserError(f"a covariance needs at least two features, not {len(x)}")
    x = x.double()
    mean = x.mean(0)
    return mean, torch.linalg.qr((x - mean) / (len(x) - 1) ** 0.5, mode="r").R


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall of fake features [M, F] against real ones [N, F].

    Kynkäänniemi et al. (2019), eq. (1) and (2): the share of fake features that lie in a ball around
    a real one, as wide as the distance to its ``k``-th nearest other real feature, and the same with
    the roles swapped. ``UserError`` if a set has no more than ``k``.
    """
    distances = _distances(real, fake)
    precision = (distances <= _radii(real, k)[:, None]).any(0).double().mean()
    recall = (distances <= _radii(fake, k)).any(1).double().mean()
    return float(precision), float(recall)


def coverage(real: Tensor, fake: Tensor, k: int = 5) -> float:
    """Share of real features [N, F] with a fake one [M, F] in the ball of ``precision_recall``.

    Naeem et al. (2020). A fake outlier cannot raise it, as it can recall. ``UserError`` if
    there are no more than ``k`` real features.
    """
    return float((_distances(real, fake).amin(1) <= _radii(real, k)).double().mean())


def _distances(a: Tensor, b: Tensor) -> Tensor:
    # By differences, not by products: equal features must be at distance zero.
    mode = "donot_use_mm_for_euclid_dist"
    return torch.cdist(a.double(), b.double(), compute_mode=mode)


def _radii(x: Tensor, k: int) -> Tensor:
    """The distance of each feature [N, F] to its ``k``-th nearest other one, [N]."""
    if len(x) <= k:
        raise UserError(f"the {k}-th nearest neighbour needs more than {k} features, not {len(x)}")
    return _distances(x, x).fill_diagonal_(-1).kthvalue(k + 1).values
