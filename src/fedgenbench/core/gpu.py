"""GPU lease: which device a job may use.

Snakemake counts GPUs (``resources: gpu=1``) but never says which one. A lease is a file lock per
device below the system's temporary folder; the kernel frees it when the process dies. A device goes
by its UUID: indices depend on who counts, and each of two jobs of a cluster may see its own card as 0.
Where jobs are small, several share a device: ``FEDGENBENCH_JOBS_PER_GPU`` says how many. It is a
variable of the machine, not a setting of an experiment, for no result depends on it.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from fedgenbench.core.errors import UserError

# An allocation of its own per job, on devices that no other allocation has.
ALLOCATIONS = ("SLURM_JOB_ID", "KUBERNETES_SERVICE_HOST")

JOBS_PER_GPU = "FEDGENBENCH_JOBS_PER_GPU"

NO_GPU = (
    "device: cuda, but no GPU is visible here; set device: auto or cpu in params.yaml, or look at "
    "CUDA_VISIBLE_DEVICES and nvidia-smi -L"
)


def present_gpus() -> list[list[str]]:
    """UUIDs by index: a card's own, or those of its slices where it is cut (MIG)."""
    if shutil.which("nvidia-smi") is None:
        return []
    listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    found: list[list[str]] = []
    lines = re.findall(r"^(GPU \d+:)?.*\(UUID: (\S+)\)", listing.stdout, re.MULTILINE)
    for card, uuid in lines:
        if card:
            found.append([uuid])
        elif found[-1][0].startswith("GPU-"):
            found[-1] = [uuid]
        else:
            found[-1].append(uuid)
    return found


def visible_gpus() -> list[str]:
    """UUIDs of the GPUs this process may use: those present, within CUDA_VISIBLE_DEVICES if set.

    As CUDA reads it, an entry that names no device ends the list. Indices count as nvidia-smi does.
    """
    present = present_gpus()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return [uuid for card in present for uuid in card]
    visible: list[str] = []
    for entry in allowed.split(","):
        named = _named(entry.strip(), present)
        if not named:
            break
        visible += [uuid for uuid in named if uuid not in visible]
    return visible


def _named(entry: str, present: list[list[str]]) -> list[str]:
    if entry.isdigit():
        return present[int(entry)] if int(entry) < len(present) else []
    if not entry.startswith(("GPU-", "MIG-")):
        return []
    return [uuid for card in present for uuid in card if uuid.startswith(entry)]


def without_gpu() -> str:
    """Why no GPU is used although one might be expected, in a sentence; empty where none is."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if allowed in ("", "-1") or visible_gpus():
        return ""
    if shutil.which("nvidia-smi") is None:
        reason = "there is no nvidia-smi here, so no driver"
    else:
        reason = "nvidia-smi -L lists no such GPU here"
    return f"CUDA_VISIBLE_DEVICES={allowed}, but {reason}: this runs on the CPU"


def jobs_per_gpu() -> int:
    """How many jobs a device takes at once: 1 unless ``FEDGENBENCH_JOBS_PER_GPU`` says otherwise.

    Raises:
        UserError: it is not a whole number above 0.
    """
    said = os.environ.get(JOBS_PER_GPU, "1")
    if not re.fullmatch(r"0*[1-9][0-9]*", said):
        raise UserError(
            f"{JOBS_PER_GPU}={said!r} is not a number of jobs: set it to 1, 2, …, or unset it"
        )
    return int(said)


@contextlib.contextmanager
def lease(device: str, folder: Path | None = None, poll_seconds: float = 1.0) -> Iterator[str]:
    """Yields ``"cuda:0"`` with exactly one GPU visible, or ``"cpu"``.

    ``device`` is ``auto``, ``cpu`` or ``cuda``. Waits for a free GPU, or for a free place on one
    where several jobs share it; jobs of different allocations of
    a scheduler never wait for each other. Must be entered before torch is imported, since it narrows
    CUDA_VISIBLE_DEVICES.

    Raises:
        UserError: ``cuda`` was asked for and no GPU is visible, locks cannot be written, or
            ``FEDGENBENCH_JOBS_PER_GPU`` is no number of jobs.
    """
    gpus = [] if device == "cpu" else visible_gpus()
    if not gpus:
        if device == "cuda":
            raise UserError(NO_GPU)
        if device == "auto" and (said := without_gpu()):
            print(said, file=sys.stderr, flush=True)
        yield "cpu"
        return
    lock, chosen = _locked(gpus, folder or _folder(), poll_seconds)
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


def _folder() -> Path:
    """Where the locks lie: apart for every allocation of a scheduler, shared on a bare host."""
    try:
        base = Path(tempfile.gettempdir()) / f"fedgenbench-gpu-{os.getuid()}"
    except FileNotFoundError as error:
        raise UserError(
            f"{error}: free some space there, or set TMPDIR to another folder"
        ) from error
    given = [name for name in ALLOCATIONS if name in os.environ]
    if not given:
        return base
    # A pod's host name is its own; a job's number is unique on its cluster.
    return base / os.environ.get("SLURM_JOB_ID", os.uname().nodename)


def _locked(gpus: list[str], folder: Path, poll_seconds: float) -> tuple[FileLock, str]:
    # Devices before places: no two jobs share a card while another one is idle.
    places = [(gpu, place) for place in range(jobs_per_gpu()) for gpu in gpus]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            for gpu, place in places:
                lock = FileLock(folder / f"{gpu}.{place}.lock")
                with contextlib.suppress(Timeout):
                    lock.acquire(timeout=0)
                    return lock, gpu
            time.sleep(poll_seconds)
    except OSError as error:
        raise UserError(
            f"could not lock a GPU in {folder} ({error.strerror}): free some space there, or set "
            "TMPDIR to another folder"
        ) from error
