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

    An edit since the record matters only if Snakemake's digests say so: a comment does not.

    Raises:
        UserError: names what is missing or differs, with the way out.
    """
    if not Path("dvc.lock").exists():
        raise UserError("dvc.lock is missing, so nothing was recorded here: run `make reproduce`")
    remotes = _run("dvc", "remote", "list").stdout.split()
    # Both fail where some file is nowhere; what is missing then shows in the status.
    bringing = _run("dvc", *(["pull"] if remotes else ["checkout"]), check=False)
    outputs, others = _changes(json.loads(_run("dvc", "status", "--json").stdout or "{}"))
    if outputs:
        place = (
            f"the remote {remotes[0]}" if remotes else ".dvc/cache (no DVC remote is configured)"
        )
        raise UserError(
            f"data and results do not match dvc.lock; they were looked for in {place}:\n"
            + _listing(outputs)
            + "What was altered: `git checkout` or delete it, and restore again. What is nowhere: name "
            "a remote that has it with `dvc remote add -d <name> <place>`, or let `make reproduce` "
            f"compute it.\n{bringing.stderr.strip()}".rstrip()
        )
    _run("snakemake", "--touch", "--cores", "1", "--quiet", "all")
    plan = _run("snakemake", "--dry-run", "--quiet", "rules")
    if "Nothing to be done" not in plan.stdout + plan.stderr:
        raise UserError(
            "data and results match dvc.lock, but the settings or the code ask for others. Changed "
            f"since the record:\n{_listing(others)}"
            "`snakemake --dry-run` lists what is missing; `make reproduce` makes it."
        )


def _changes(status: dict) -> tuple[list[str], list[str]]:
    """Outputs that are not as recorded, and what else changed, from ``dvc status --json``."""
    outputs, others = [], []
    for stage, changes in status.items():
        for change in changes:
            # A change is a mapping, or a word on the whole stage.
            for kind, paths in (change if isinstance(change, dict) else {change: {}}).items():
                lines = [f"{path}: {_words(state)}" for path, state in paths.items()] or [kind]
                (outputs if kind == "changed outs" else others).extend(
                    f"{stage}, {line}" for line in lines
                )
    return outputs, others


def _words(state: object) -> str:
    if not isinstance(state, dict):
        return str(state)
    return ", ".join(f"{key} {_words(value)}" for key, value in state.items())


def _listing(lines: list[str]) -> str:
    return "".join(f"  {line}\n" for line in lines)


def _run(program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise UserError(f"`{program} {' '.join(arguments)}` failed:\n{said}")
    return done


if __name__ == "__main__":
    try:
        restore()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print("Restored: data and results match dvc.lock, and Snakemake has nothing to do.")
