"""How this process asks the system for memory."""

import ctypes
import sys

# Parameters of glibc's mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Lets freed memory stay in the process, to be used again; does nothing without glibc.

    By default glibc maps every tensor of some megabytes afresh and returns it when it is freed. A
    step over stacked clients makes a few of those, and having the kernel clear their pages anew each
    time costs as much as the arithmetic. No result depends on it.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)
