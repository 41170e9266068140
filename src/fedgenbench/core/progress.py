"""Progress of a long job: a line now and then, in its log and on the terminal."""

import sys
import time
from collections.abc import Callable


class Progress:
    """Counts steps towards ``total`` and tells about them on standard error.

    A line is written at most every ``every_seconds``, and one for the last step. A workflow's job has
    its standard error in a log: if a person watches, at a terminal, the lines are shown there too.
    """

    def __init__(self, label: str, total: int, every_seconds: float = 20.0):
        self.label, self.total, self.every_seconds = label, total, every_seconds
        self.started = self.told = time.monotonic()
        self.first: int | None = None

    def __call__(self, done: int, note: str) -> None:
        """``done`` steps are behind; ``note`` is what a reader wants to see, e.g. an accuracy."""
        now = time.monotonic()
        # Steps before a resumed job's first call took no time of this process.
        self.first = done - 1 if self.first is None else self.first
        if done < self.total and now - self.told < self.every_seconds:
            return
        self.told = now
        left = (now - self.started) / (done - self.first) * (self.total - done)
        text = f"{self.label}  {done}/{self.total}  {note}  {left:.0f} s left"
        print(text, file=sys.stderr, flush=True)
        if sys.stdout.isatty() and done < self.total:  # the job's last line tells the rest
            print(text, flush=True)

    def after(self, before: int) -> Callable[[int, str], None]:
        """Itself for a part of the job that begins when ``before`` steps are done."""
        return lambda done, note: self(before + done, note)
