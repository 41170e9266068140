"""Comparisons that use seeds and test images together: would other seeds and other images agree?

A t-interval over seeds speaks of other seeds on the same test images. Where all seeds share their images,
the answers, a bit per seed and image, also show how much the images matter. They are analysed as readers
and cases are in studies of diagnostic tests: a two-way layout in which both are drawn at random (Dorfman,
Berbaum and Metz, 1992).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fedgenbench.report.statistics import SEEDS, Interval

if TYPE_CHECKING:
    import pandas as pd

    from fedgenbench.report.results import Results


def crossed_interval(differences: np.ndarray, confidence: float = 0.95) -> Interval:
    """Mean and interval of paired differences [seeds, images], both of which are drawn at random.

    With mean squares of seeds MS_S, of images MS_I and of their interaction MS_E, over S seeds and n
    images, the variance of the mean is (MS_S + max(MS_I − MS_E, 0)) / (S n). The quantile is Student's
    with the S − 1 degrees of freedom that seeds have alone: the larger ones of Hillis (2007) gave
    intervals that held the truth too seldom with three seeds (docs/statistics.md). So the interval is
    never narrower than the one over seeds, and the same where images do not matter.

    Raises ValueError for fewer than ``SEEDS`` seeds or two images.
    """
    from scipy.special import stdtrit

    seeds, images = differences.shape
    if seeds < SEEDS or images < 2:
        raise ValueError(
            f"an interval needs {SEEDS} seeds and two images, got {seeds} and {images}"
        )
    mean = float(differences.mean())
    of_seeds, of_images = differences.mean(1) - mean, differences.mean(0) - mean
    rest = differences - mean - of_seeds[:, None] - of_images[None]
    ms_seeds = images * float((of_seeds**2).sum()) / (seeds - 1)
    ms_images = seeds * float((of_images**2).sum()) / (images - 1)
    ms_rest = float((rest**2).sum()) / ((seeds - 1) * (images - 1))
    total = ms_seeds + max(ms_images - ms_rest, 0.0)
    quantile = float(stdtrit(seeds - 1, 0.5 + confidence / 2))
    half = quantile * math.sqrt(total / (seeds * images))
    return Interval(mean, mean - half, mean + half, seeds)


def paired_answers(
    results: Results, experiment: str, models: Sequence[Mapping[str, str]]
) -> np.ndarray | None:
    """Answers of the first model less those of the second, [seeds, images], in the seeds of both.

    ``models`` are two addresses in the answers of ``Results``: job, name, model. Images are weighted so
    that the mean is the plain mean over clients, as accuracies are. None where a model has no answers,
    where fewer than ``SEEDS`` seeds are common, or where the seeds have other images each: there the
    interval over seeds speaks of other images, too.
    """
    from fedgenbench.core.answers import unpacked_bytes

    frame = results.answers
    frame = frame[frame["experiment"] == experiment]
    sides = [_of(frame, model) for model in models]
    common = sorted(sides[0].keys() & sides[1].keys())
    rows = [side[seed] for side in sides for seed in common]
    if len(common) < SEEDS or len({row["sha256"] for row in rows}) > 1:
        return None
    sizes = [int(size) for size in rows[0]["images"]]
    total, clients = sum(sizes), len(sizes)
    weights = np.concatenate([np.full(size, total / (clients * size)) for size in sizes])

    def stacked(side: dict[int, pd.Series]) -> np.ndarray:
        return np.array([unpacked_bytes(side[seed]["answers"], total) for seed in common], float)

    return (stacked(sides[0]) - stacked(sides[1])) * weights


def _of(frame: pd.DataFrame, model: Mapping[str, str]) -> dict[int, pd.Series]:
    """Seed -> the row of a model."""
    for column, value in model.items():
        frame = frame[frame[column] == value]
    return {int(row["seed"]): row for _, row in frame.iterrows()}
