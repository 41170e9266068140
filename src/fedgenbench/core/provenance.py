"""Where a result comes from: code, machine, versions, time and memory."""

import contextlib
import glob
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedgenbench.core.determinism import ENVIRONMENT
from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, sha256_file, write_json

LOCK_FILE = Path("requirements/lock.txt")
PACKAGES = ("torch", "numpy", "safetensors", "diffusers", "peft", "snakemake")


class Stopwatch:
    """Started when made; ``record`` gives the provenance block of a job.

    With ``checkpoint``, what a job resumes from, attempts that were killed count too: what they took
    is kept beside it, at most ``every_seconds`` old. Attempts that left no checkpoint do not.
    """

    def __init__(self, checkpoint: str | Path | None = None, every_seconds: float = 5.0) -> None:
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self._clock = time.perf_counter()
        self._before: dict[str, Any] = {}
        self._kept: Path | None = None
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep_on, args=(every_seconds,), daemon=True)
        if checkpoint is None:
            return
        self._kept = Path(f"{checkpoint}.time.json")
        found = self._kept.parent.glob(f"{glob.escape(Path(checkpoint).name)}*")
        if self._kept.exists() and any(path != self._kept for path in found):
            self._before = read_json(self._kept)
        self._keep()
        self._keeper.start()

    def record(self, device: str) -> dict[str, Any]:
        return {
            **self._spent(),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            **_device(device),
            "cpu": cpu_name(),
            "cpu_count": os.cpu_count(),
            "platform": platform.platform(),
            "python": platform.python_version(),
            "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
            "variables": {name: os.environ.get(name) for name in ENVIRONMENT},
            "lock_sha256": sha256_file(LOCK_FILE) if LOCK_FILE.exists() else None,
            **git_state(),
        }

    def forget(self) -> None:
        """The job is done and its files are there: nothing is kept any more."""
        if self._kept:
            self._stop.set()
            self._keeper.join()
            self._kept.unlink(missing_ok=True)

    def _spent(self) -> dict[str, Any]:
        """What this and earlier attempts took."""
        before, peak = self._before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        wall = before.get("wall_seconds", 0.0) + time.perf_counter() - self._clock
        return {
            "started": before.get("started", self.started),
            "attempts": before.get("attempts", 0) + 1,
            "wall_seconds": round(wall, 3),
            "cpu_seconds": round(before.get("cpu_seconds", 0.0) + time.process_time(), 3),
            "peak_memory_bytes": max(before.get("peak_memory_bytes", 0), peak),
        }

    def _keep_on(self, every_seconds: float) -> None:
        while not self._stop.wait(every_seconds):
            with contextlib.suppress(UserError):  # a full disk stops the job where it matters
                self._keep()

    def _keep(self) -> None:
        assert self._kept is not None  # without a checkpoint, nothing is kept
        write_json(self._kept, self._spent())


def _device(device: str) -> dict[str, Any]:
    if device == "cpu":
        return {"device": "cpu", "gpu_peak_memory_bytes": None, "gpu_id": None}
    torch = sys.modules["torch"]
    return {
        "device": torch.cuda.get_device_name(0),
        "gpu_peak_memory_bytes": torch.cuda.max_memory_allocated(0),
        "gpu_id": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def git_state() -> dict[str, Any]:
    """Revision, and whether the working tree differs from it; None outside a checkout."""

    def ask(*arguments: str) -> str | None:
        try:
            answer = subprocess.run(
                ["git", *arguments], capture_output=True, text=True, check=True, timeout=30
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return answer.stdout.strip()

    revision = ask("rev-parse", "HEAD")
    changes = ask("status", "--porcelain", "--untracked-files=no")
    return {"git_revision": revision, "git_dirty": None if changes is None else bool(changes)}
