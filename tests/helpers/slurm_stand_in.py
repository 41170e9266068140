"""Stand-ins for SLURM's commands that need no root: jobs run at once and keep how they were asked for."""

from pathlib import Path

SBATCH = r"""
exec 9> "$SLURM_STAND_IN/lock"; flock 9
number=$(($(cat "$SLURM_STAND_IN/count" 2>/dev/null || echo 0) + 1))
echo $number > "$SLURM_STAND_IN/count"
flock -u 9; exec 9>&-
for word; do case $word in --wrap=*) command=${word#--wrap=} ;; *) echo "$word" ;; esac; done \
  > "$SLURM_STAND_IN/$number.words"
echo RUNNING > "$SLURM_STAND_IN/$number.state"
(
  if SLURM_JOB_ID=$number bash -c "$command"; then state=COMPLETED; else state=FAILED; fi
  echo $state > "$SLURM_STAND_IN/$number.state"
) < /dev/null > "$SLURM_STAND_IN/$number.log" 2>&1 &
echo $number
"""
STATES = """
for file in "$SLURM_STAND_IN"/*.state; do echo "$(basename "$file" .state)|$(cat "$file")"; done
"""
SRUN = """
while case $1 in -*) true ;; *) false ;; esac; do shift; done
exec "$@"
"""
NOTHING = ("sacctmgr", "scancel", "scontrol", "sinfo", "sshare")


def install(folder: Path) -> dict[str, str]:
    """Writes the commands below ``folder``; the variables by which they are found."""
    (folder / "bin").mkdir(parents=True)
    (folder / "jobs").mkdir()
    texts = {"sbatch": SBATCH, "sacct": STATES, "squeue": STATES, "srun": SRUN} | dict.fromkeys(
        NOTHING, ""
    )
    for name, text in texts.items():
        (folder / "bin" / name).write_text(f"#!/usr/bin/env bash\n{text}")
        (folder / "bin" / name).chmod(0o755)
    return {"PATH": f"{folder}/bin", "SLURM_STAND_IN": f"{folder}/jobs"}


def submissions(folder: Path) -> list[list[str]]:
    """The words of ``sbatch``, of each job in the order of their submission, without the command."""
    files = sorted((folder / "jobs").glob("*.words"), key=lambda path: int(path.stem))
    return [path.read_text(encoding="utf-8").splitlines() for path in files]
