"""Progress of a long job: a bar on a terminal, a line now and then in a log."""

import sys
import time


class Progress:
    """Counts steps towards ``total`` and tells about them on standard error.

    On a terminal a bar is redrawn; elsewhere a line is written at most every ``every_seconds``, and
    one for the last step.
    """

    def __init__(self, label: str, total: int, every_seconds: float = 20.0):
        self.label, self.total, self.every_seconds = label, total, every_seconds
        self.started = self.told = time.monotonic()
        self.first: int | None = None
        self.bar = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress as Bar

            self.bar = Bar(console=Console(stderr=True))
            self.task = self.bar.add_task(label, total=total)
            self.bar.start()

    def __call__(self, done: int, note: str) -> None:
        """``done`` steps are behind; ``note`` is what a reader wants to see, e.g. an accuracy."""
        now = time.monotonic()
        # Steps before a resumed job's first call took no time of this process.
        self.first = done - 1 if self.first is None else self.first
        left = (now - self.started) / (done - self.first) * (self.total - done)
        text = f"{self.label}  {done}/{self.total}  {note}  {left:.0f} s left"
        if self.bar:
            self.bar.update(self.task, completed=done, description=text)
            if done == self.total:
                self.bar.stop()
        elif done == self.total or now - self.told >= self.every_seconds:
            print(text, file=sys.stderr, flush=True)
            self.told = now
