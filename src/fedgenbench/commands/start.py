"""Starts Snakemake where a killed run may have left its lock: ``python -m fedgenbench.commands.start``.

Arguments are Snakemake's. The lock goes only if nothing can be alive that it protects: no process of
this machine works in the folder, and the run that left it was on this machine with all its jobs.
"""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
from joblib import cpu_count

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, write_json
from fedgenbench.core.gpu import NO_GPU, jobs_per_gpu, visible_gpus, without_gpu

STATE = Path(".snakemake")
# Who holds Snakemake's lock: it says nothing about that itself.
HOLDER = STATE / "fedgenbench-run.json"


def remarks(device: str, cores: int | None) -> list[str]:
    """What a user should know of this machine before jobs start, in sentences."""
    found = []
    if cores and cores > (usable := cpu_count()):
        found.append(
            f"{cores} cores were asked for, but this process may use {usable} (a container's quota, or "
            f"its share of the processors): --cores {usable} is as fast."
        )
    if device == "auto" and (said := without_gpu()):
        found.append(f"{said}.")
    if device == "cuda" and not visible_gpus():
        found.append(f"{NO_GPU}.")
    return found


def started(device: str, local: bool, cores: int | None) -> None:
    """Called by Snakemake once it holds its lock; ``local``: jobs run on this machine.

    Raises:
        UserError: no job, or none with a GPU, could run.
    """
    jobs_per_gpu()
    if local and cores == 0:
        raise UserError(
            "--cores 0 leaves no core for a job, and Snakemake would wait for ever: give 1"
        )
    write_json(HOLDER, {"host": socket.gethostname(), "local": local})
    if local and device == "cuda" and not visible_gpus():
        raise UserError(NO_GPU)


def unlock() -> None:
    """Removes Snakemake's lock on the current folder if the run that left it is dead.

    Raises:
        UserError: it is alive, or may be.
    """
    locks = list((STATE / "locks").glob("*.lock"))
    if not locks:
        return
    if alive := _workers():
        raise UserError(
            "Another run works in this folder, or jobs of a killed one still do. Wait for them, or end "
            f"them, then run the same command again:\n{''.join(alive)}".rstrip()
        )
    by_hand = "If it is dead: snakemake --unlock"
    if not HOLDER.exists() or HOLDER.stat().st_mtime < max(lock.stat().st_mtime for lock in locks):
        raise UserError(
            "This folder is locked by a run that ended, or still begins, before it said where it runs. "
            + by_hand
        )
    holder = read_json(HOLDER)
    if holder["host"] != socket.gethostname():
        raise UserError(f"This folder is locked by a run on {holder['host']}. {by_hand}")
    if not holder["local"]:
        raise UserError(
            "This folder is locked by a run whose jobs a cluster has; they may be alive. Look there. "
            + by_hand
        )
    print("A killed run left its lock on this folder; nothing is alive any more: unlocked.")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--unlock"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError(f"`snakemake --unlock` failed:\n{done.stderr.strip()}")


def _workers() -> list[str]:
    """Snakemake's processes and its jobs' in this folder, a line each; others' that may be here."""
    here, mine = os.getcwd(), {os.getpid(), *(each.pid for each in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        command = " ".join(process.info["cmdline"] or ())
        # A folder that cannot be read belongs to a process of another user.
        if "snakemake" in command and process.info["cwd"] in (here, None):
            found += [f"  process {process.pid}: {command[:100]}\n"] * (process.pid not in mine)
    return found


def main(arguments: list[str]) -> None:
    STATE.mkdir(exist_ok=True)
    # Held until Snakemake, which takes this process's place, has ended.
    door = os.open(STATE / "fedgenbench.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError("Another run works in this folder: wait for it, or end it.") from None
    unlock()
    os.set_inheritable(door, True)
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *arguments])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(f"\n{error}", file=sys.stderr)
        sys.exit(2)
