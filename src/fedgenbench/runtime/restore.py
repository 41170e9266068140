"""Brings recorded results back without computing: ``python -m fedgenbench.runtime.restore``.

DVC fetches what dvc.lock names, by checksum. Then Snakemake is told that these files are up to date,
for a checkout leaves arbitrary times, by which it would plan to make them all again.
"""

import json
import subprocess
import sys
from pathlib import Path

from fedgenbench.errors import UserError


def restore() -> None:
    """Restores what dvc.lock names in the current folder, for the scale that params.yaml names.

    Raises:
        UserError: names what is missing or differs, with the way out.
    """
    if not Path("dvc.lock").exists():
        raise UserError("dvc.lock is missing, so nothing was recorded here: run `make reproduce`")
    remotes = _run("dvc", "remote", "list").stdout.strip()
    # Both fail where some file is nowhere; what is missing then shows in the status.
    bringing = _run("dvc", *(["pull"] if remotes else ["checkout"]), check=False)
    status = json.loads(_run("dvc", "status", "--json").stdout or "{}")
    if status:
        raise UserError(_differences(status, remotes, bringing.stderr.strip()))
    _run("snakemake", "--touch", "--cores", "1", "--quiet", "all")
    plan = _run("snakemake", "--dry-run", "--quiet", "rules")
    if "Nothing to be done" not in plan.stdout + plan.stderr:
        raise UserError(
            "data and results match dvc.lock, but params.yaml or the code asks for more: `snakemake "
            "--dry-run` lists it, `make reproduce` makes it"
        )


def _run(program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise UserError(f"`{program} {' '.join(arguments)}` failed:\n{said}")
    return done


def _differences(status: dict, remotes: str, said: str) -> str:
    lines = ["data and results do not match dvc.lock:"]
    for stage, changes in status.items():
        for change in changes:
            # A change is a mapping, or one word for the whole stage.
            groups = change if isinstance(change, dict) else {change: {stage: "changed"}}
            for kind, paths in groups.items():
                lines += [f"  {stage}, {kind}: {_flat(paths)}"]
    if remotes:
        lines.append(f"They were looked for in the remote {remotes.split()[0]}.")
    else:
        lines.append(
            "No DVC remote is configured, so only .dvc/cache was looked at: name one with `dvc remote "
            "add -d <name> <place>`."
        )
    lines.append("What was edited: undo it. What is nowhere: `make reproduce` computes it.")
    return "\n".join([*lines, *([f"DVC said: {said}"] if said else [])])


def _flat(paths: object) -> str:
    if not isinstance(paths, dict):
        return str(paths)
    return ", ".join(f"{path} ({_flat(state)})" for path, state in paths.items())


if __name__ == "__main__":
    try:
        restore()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print("Restored: data and results match dvc.lock, and Snakemake has nothing to do.")
