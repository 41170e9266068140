"""Where a result comes from: code, machine, versions, time and memory."""

import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedgenbench.runtime.files import sha256_file

LOCK_FILE = Path("requirements/lock.txt")
PACKAGES = ("torch", "numpy", "safetensors", "diffusers", "peft", "snakemake")
# What decides floating-point results on a CPU; set by rules/common.smk before Python starts.
VARIABLES = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "OMP_NUM_THREADS")


class Stopwatch:
    """Started when made; ``record`` gives the provenance block of a run.json."""

    def __init__(self) -> None:
        self.started = datetime.now(UTC)
        self._clock = time.perf_counter()

    def record(self, device: str) -> dict[str, Any]:
        return {
            "started": self.started.isoformat(timespec="seconds"),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "wall_seconds": round(time.perf_counter() - self._clock, 3),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            **_device(device),
            "cpu": cpu_name(),
            "cpu_count": os.cpu_count(),
            "platform": platform.platform(),
            "python": platform.python_version(),
            "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
            "variables": {name: os.environ.get(name) for name in VARIABLES},
            "lock_sha256": sha256_file(LOCK_FILE) if LOCK_FILE.exists() else None,
            **git_state(),
        }


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
