"""Had methods learnt what there was to learn, when their runs ended? A check on collected curves.

Asked of the controls that train, local only and centralised, which no method's idea can help: where
they still climb, methods are compared on the way up, and their order may be that of their speed. It
chooses nothing, so it may look at test images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fedgenbench.report.results import Results

LATE = 0.5  # the last part of the rounds: what as many rounds again have gained
STEEP = 0.1  # of the whole climb; an exponential approach gains less from 4.4 time constants on


@dataclass(frozen=True)
class Climb:
    """A control's personalised accuracy, mean over clients and seeds, in [0, 1].

    whole: from a random guess to the last round. late: of that, in the last ``LATE`` of the rounds.
    """

    experiment: str
    method: str
    whole: float
    late: float

    @property
    def steep(self) -> bool:
        """Was the plateau not within reach, or nothing learnt at all?"""
        return self.whole <= 0 or self.late > STEEP * self.whole


def climbs(results: Results, experiment: str) -> Iterator[Climb]:
    """The climbs of the controls of an experiment that have a curve of two evaluations or more."""
    frame = results.rounds
    frame = frame[
        (frame["experiment"] == experiment)
        & (frame["metric"] == "personal")
        & (frame["client"] == -1)
        & frame["method"].isin(results.family("control"))
    ]
    curves = frame.groupby(["method", "round"])["value"].mean()
    for method in curves.index.unique("method"):
        curve = curves[method].sort_index()
        if len(curve) > 1:
            last = float(curve.index[-1])
            before = np.interp((1 - LATE) * last, curve.index, curve)
            whole = curve.iloc[-1] - results.guess(experiment).mean
            yield Climb(experiment, method, float(whole), float(curve.iloc[-1] - before))


def steep_sentences(results: Results, titles: Iterable[str]) -> list[str]:
    """A sentence on each control that was still learning, of the experiments with these titles."""
    wanted = set(titles)
    return [
        f"{results.label(climb.method)} still gained {100 * climb.late:.1f} points in the second half "
        f"of its rounds, of a climb of {100 * climb.whole:.1f} ({entry['title']})."
        for name, entry in results.experiments.items()
        if entry["title"] in wanted
        for climb in climbs(results, name)
        if climb.steep
    ]
