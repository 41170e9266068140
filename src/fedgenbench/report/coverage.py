"""How often an interval holds what is true, on made-up answers of two methods."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fedgenbench.core.streams import stream
from fedgenbench.report.paired import crossed_interval
from fedgenbench.report.statistics import mean_interval


@dataclass(frozen=True)
class Scenario:
    """Answers of two methods: right where a normal score is above zero.

    A score is the method's level, and normal effects of its seed, of the image for both methods alike, of
    the image for the method, and of all together, whose standard deviations these are (the last one 1).
    """

    name: str
    levels: tuple[float, float] = (0.0, 0.0)
    seed: float = 0.1
    image: float = 1.0
    method_image: float = 0.0

    @property
    def truth(self) -> float:
        """Difference of the two accuracies, over all seeds and images that could be drawn."""
        scale = math.sqrt(1 + self.seed**2 + self.image**2 + self.method_image**2)
        first, second = (0.5 * (1 + math.erf(x / scale / math.sqrt(2))) for x in self.levels)
        return first - second

    def differences(self, generator: np.random.Generator, seeds: int, images: int) -> np.ndarray:
        """One draw: the first method's answers less the second's, [seeds, images]."""
        common = self.image * generator.standard_normal(images)
        answers = [
            level
            + self.seed * generator.standard_normal((seeds, 1))
            + common
            + self.method_image * generator.standard_normal(images)
            + generator.standard_normal((seeds, images))
            > 0
            for level in self.levels
        ]
        return answers[0].astype(float) - answers[1]


SCENARIOS = (
    Scenario("nothing but seeds differ"),
    Scenario("ten points ahead", levels=(0.4, 0.0)),
    Scenario("seeds differ much", seed=0.4),
    Scenario("methods are right on other images", method_image=1.0),
    Scenario("the same, and seeds hardly differ", seed=0.01, method_image=1.0),
)


def coverage(
    scenario: Scenario, seeds: int, images: int, draws: int, confidence: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Share of ``draws`` in which an interval holds the truth, and its mean half width in points.

    "seeds": the t-interval over seeds; "together": over seeds and images.
    """
    held: dict[str, list[tuple[bool, float]]] = {"seeds": [], "together": []}
    generator = stream(0, "coverage", scenario.name, seeds, images)
    for _ in range(draws):
        drawn = scenario.differences(generator, seeds, images)
        for name, interval in (
            ("seeds", mean_interval(drawn.mean(1), confidence)),
            ("together", crossed_interval(drawn, confidence)),
        ):
            assert interval.low is not None  # seeds are enough
            assert interval.high is not None
            holds = interval.low <= scenario.truth <= interval.high
            held[name].append((holds, 50 * (interval.high - interval.low)))
    return {
        name: (float(np.mean([h for h, _ in each])), float(np.mean([w for _, w in each])))
        for name, each in held.items()
    }
