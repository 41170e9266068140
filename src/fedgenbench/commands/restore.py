"""Brings recorded results back without computing: ``python -m fedgenbench.commands.restore``.

DVC fetches the folder ``recorded/<scale>``; what is missing among data and results is put in place from
there, and nothing that is in place is touched. Then Snakemake is told that these files are up to date,
for by their times it would plan to make them all again.
"""

import json
import subprocess
import sys
from pathlib import Path

from fedgenbench.commands.record import in_short, listed, place, same
from fedgenbench.core.errors import UserError
from fedgenbench.plan import settings as config


def restore() -> None:
    """Restores in the current folder what was recorded at the scale that params.yaml names.

    An edit since the record matters only if Snakemake's digests say so: a comment does not.

    Raises:
        UserError: names what is missing or differs, with the way out.
    """
    scale, _ = config.load()
    pointer = Path("recorded", f"{scale}.dvc")
    if not pointer.exists():
        raise UserError(
            f"{pointer} is missing, so nothing was recorded at scale {scale}: run `make reproduce`"
        )
    if not Path(".git").exists():  # a download; DVC needs to be told
        _run("dvc", "config", "--local", "core.no_scm", "true")
    remotes = _run("dvc", "remote", "list").stdout.split()
    # Fails where some file is nowhere, or was altered; what is missing then shows below.
    command = ["pull" if remotes else "checkout", str(pointer)]
    bringing = _run("dvc", *command, check=False)
    nowhere = _put_in_place(pointer.with_suffix(""), listed(scale))
    if nowhere:
        where = (
            f"the remote {remotes[0]}" if remotes else ".dvc/cache (no DVC remote is configured)"
        )
        raise UserError(
            f"not all that was recorded is to be had; it was looked for in {where}:\n"
            f"{in_short(nowhere)}Name a remote that has it with `dvc remote add -d <name> <place>` and "
            "restore again, or let `make reproduce` compute it.\n"
            f"{bringing.stderr.strip()}".rstrip()
        )
    _run("snakemake", "--touch", "--cores", "1", "--quiet", "all")
    plan = _run("snakemake", "--dry-run", "--quiet", "rules")
    if "Nothing to be done" not in plan.stdout + plan.stderr:
        changes = _changes(json.loads(_run("dvc", "status", "--json").stdout or "{}"))
        raise UserError(
            "data and results are as recorded, but the settings or the code ask for others. Changed "
            f"since the record:\n{in_short(changes)}"
            "`snakemake --dry-run` lists what is missing; `make reproduce` makes it."
        )


def _put_in_place(folder: Path, files: dict[str, str | None]) -> list[str]:
    """Puts in place what is missing, from ``folder``; returns what is not there either.

    Raises:
        UserError: files are in place with another content.
    """
    nowhere, altered = [], []
    for path, checksum in files.items():
        target = Path(path)
        if target.exists():
            altered += [] if same(target, checksum) else [path]
        elif same(folder / path, checksum):
            place(folder / path, target)
        else:
            nowhere.append(path)
    if altered:
        raise UserError(
            f"these were altered since they were recorded, and stay as they are:\n{in_short(altered)}"
            "Move them away, or `git checkout` those that Git has, and restore again."
        )
    return nowhere


def _changes(status: dict) -> list[str]:
    """What the phases were made from and is not as recorded, from ``dvc status --json``."""
    found: dict[str, object] = {}
    for changes in status.values():
        # A change is a mapping, or a word on the whole phase: "always changed".
        for change in (each for each in changes if isinstance(each, dict)):
            found |= change.get("changed deps", {})
    return [f"{path}: {_words(state)}" for path, state in found.items()]


def _words(state: object) -> str:
    if not isinstance(state, dict):
        return str(state)
    return ", ".join(f"{key} {_words(value)}" for key, value in state.items())


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
    print("Restored: data and results are as recorded, and Snakemake has nothing to do.")
