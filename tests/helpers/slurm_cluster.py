"""A real SLURM on one machine: Debian's slurmctld, slurmd and munge on loopback, four pretended GPUs.

It needs root, and `apt-get install slurmctld slurmd slurm-client munge`; it writes slurm.conf and
gres.conf below /etc/slurm, where the commands look, and puts back what was there.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
SETTINGS = Path("/etc/slurm")
GPUS, CPUS = 4, 8  # more cores than there are, so that four jobs run at once
CONFIGURATION = """
ClusterName=toy
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
ReturnToService=2
MinJobAge=300
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} SocketsPerBoard=1 CoresPerSocket={cpus} ThreadsPerCore=1 \
RealMemory=16000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=60 State=UP
PartitionName=gpu Nodes={host} MaxTime=60 State=UP
"""


def lacks() -> str:
    """Why it cannot be started here; empty where it can."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=_path())]
    if missing:
        return f"{', '.join(missing)}: not installed"
    return "" if os.geteuid() == 0 else "only root can start slurmd"


class Cluster:
    """One node, two partitions, four devices."""

    def __init__(self, folder: Path):
        self.folder = folder

    def start(self) -> None:
        for name in ("slurmctld", "slurmd"):
            subprocess.run([name], check=True, env=os.environ | {"PATH": _path()})
        _wait(lambda: "idle" in command("sinfo", "-h", "-o", "%T"), "the node is not idle")

    def restart_controller(self) -> None:
        self._end("slurmctld")
        subprocess.run(["slurmctld"], check=True, env=os.environ | {"PATH": _path()})
        _wait(lambda: command("squeue", "-h") is not None, "the controller does not answer")

    def stop(self) -> None:
        command("scancel", "--full", "--user=root")
        for name in ("slurmd", "slurmctld"):
            with suppress(FileNotFoundError):
                self._end(name)

    def running(self, state: str = "RUNNING") -> dict[str, str]:
        """Comments (the rule and what tells its jobs apart) of the jobs in a state, by number."""
        lines = command("squeue", "-h", "-t", state, "-o", "%i %k") or ""
        return dict(line.split(" ", 1) for line in lines.splitlines())

    def _end(self, name: str) -> None:
        process = int((self.folder / f"{name}.pid").read_text())
        os.kill(process, signal.SIGTERM)
        _wait(lambda: not Path(f"/proc/{process}").exists(), f"{name} does not end")


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster that lives as long as the block; its state and logs lie in ``folder``."""
    for part in ("state", "spool"):
        (folder / part).mkdir(parents=True)
    for number in range(GPUS):  # SLURM takes character devices only
        subprocess.run(["mknod", folder / f"gpu{number}", "c", "1", "3"], check=True)
    host = socket.gethostname().partition(".")[0]
    written = {
        "slurm.conf": CONFIGURATION.format(host=host, folder=folder, cpus=CPUS, gpus=GPUS),
        "gres.conf": f"NodeName={host} Name=gpu File={folder}/gpu[0-{GPUS - 1}]\n",
    }
    before = {name: (SETTINGS / name).read_text() for name in written if (SETTINGS / name).exists()}
    SETTINGS.mkdir(exist_ok=True)
    for name, text in written.items():
        (SETTINGS / name).write_text(text)
    munge = _munge()
    made = Cluster(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        munge.terminate()
        munge.wait()
        for name in written:
            (SETTINGS / name).unlink()
        for name, text in before.items():
            (SETTINGS / name).write_text(text)


def command(*words: str) -> str | None:
    """What a command of SLURM prints, or None where it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def _munge() -> subprocess.Popen:
    Path("/run/munge").mkdir(exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    drop = ["setpriv", "--reuid", "munge", "--regid", "munge", "--clear-groups"]
    process = subprocess.Popen([*drop, shutil.which("munged", path=_path()), "--foreground"])
    _wait(lambda: command("munge", "-n") is not None, "munged does not answer")
    return process


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin"


def _wait(condition, complaint: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(complaint)
        time.sleep(0.1)
