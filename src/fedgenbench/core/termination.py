"""A job that is told to end (SIGTERM) makes its step, keeps it, and ends: nothing is computed twice."""

import signal
import sys
from types import FrameType

# SLURM and Kubernetes kill what still lives thirty seconds after they told it to end.
GRACE_SECONDS = 25
STATUS = 128 + signal.SIGTERM

_told: list[int] = []


def heed() -> None:
    """From now on SIGTERM lets this process live until its next checkpoint, or for the grace time."""
    signal.signal(signal.SIGTERM, _note)


def _note(number: int, _: FrameType | None) -> None:
    _told.append(number)
    signal.alarm(GRACE_SECONDS)  # which ends a process that takes no notice


def told() -> bool:
    """Was this process told to end? What keeps checkpoints now and then does so at once."""
    return bool(_told)


def end_if_told() -> None:
    """Ends a process that was told to; called when all that it did so far is kept."""
    if told():
        print(
            "told to end: what was done is kept, the same command goes on from there",
            file=sys.stderr,
        )
        sys.exit(STATUS)
