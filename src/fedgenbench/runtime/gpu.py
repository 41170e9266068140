"""GPU lease: which device a job may use.

Snakemake counts GPUs (``resources: gpu=1``) but never says which one. A lease is a file lock per
device below the system's temporary folder; the kernel frees it when the process dies. An incoming
``CUDA_VISIBLE_DEVICES`` (a cluster's allocation) bounds the choice.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from fedgenbench.errors import UserError


def visible_gpus() -> list[str]:
    """Identifiers of the GPUs this process may use, as CUDA_VISIBLE_DEVICES names them."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [part.strip() for part in allowed.split(",") if part.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    count = sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
    return [str(index) for index in range(count)]


@contextlib.contextmanager
def lease(device: str, folder: Path | None = None, poll_seconds: float = 1.0) -> Iterator[str]:
    """Yields ``"cuda:0"`` with exactly one GPU visible, or ``"cpu"``.

    ``device`` is ``auto``, ``cpu`` or ``cuda``. Waits for a free GPU. Must be entered before torch is
    imported, since it narrows CUDA_VISIBLE_DEVICES.

    Raises:
        UserError: ``cuda`` was asked for and no GPU is visible.
    """
    gpus = [] if device == "cpu" else visible_gpus()
    if not gpus:
        if device == "cuda":
            raise UserError(
                "device: cuda, but no GPU is visible here; set device: auto or cpu in params.yaml, "
                "or look at CUDA_VISIBLE_DEVICES and nvidia-smi -L"
            )
        yield "cpu"
        return
    folder = folder or Path(tempfile.gettempdir()) / f"fedgenbench-gpu-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    lock, chosen = None, ""
    while lock is None:
        for gpu in gpus:
            candidate = FileLock(folder / f"{gpu.replace('/', '_')}.lock")
            try:
                candidate.acquire(timeout=0)
            except Timeout:
                continue
            lock, chosen = candidate, gpu
            break
        else:
            time.sleep(poll_seconds)
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = chosen
    try:
        yield "cuda:0"
    finally:
        lock.release()
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
