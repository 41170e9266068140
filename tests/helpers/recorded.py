"""A finished small workflow under Git and DVC, recorded, with a remote in a folder beside it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import scratch


def environment(home: Path) -> dict[str, str]:
    """That of this process, away from the user's settings of Git and DVC."""
    people = {
        f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return (
        os.environ
        | people
        | {"HOME": str(home), "DVC_SITE_CACHE_DIR": str(home / "dvc"), "PATH": path}
    )


class Shell:
    """Runs commands in a folder; gives what they say, and fails where they do."""

    def __init__(self, home: Path):
        self.environment = environment(home)

    def __call__(self, folder: Path, *command: str, ok: bool = True) -> str:
        done = self._run(folder, command)
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    def out(self, folder: Path, *command: str) -> str:
        """What a command prints for programs."""
        done = self._run(folder, command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _run(self, folder: Path, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=folder,
            env=self.environment | {"PYTHONPATH": str(folder / "src")},
            capture_output=True,
            text=True,
            check=False,
        )

    def runtime(self, folder: Path, module: str, *arguments: str, ok: bool = True) -> str:
        said = self(
            folder, sys.executable, "-m", f"fedgenbench.commands.{module}", *arguments, ok=ok
        )
        assert "Traceback" not in said
        return said


def put_under_dvc(folder: Path, sh: Shell) -> None:
    """Git and DVC as this repository has them; `dvc repro` without its calls of Snakemake."""
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy2(scratch.REPOSITORY / name, folder / name)
    sh(folder, "git", "init", "-q")
    sh(folder, "dvc", "init", "-q")
    shutil.copy2(scratch.REPOSITORY / ".dvc/config", folder / ".dvc/config")
    shutil.copytree(scratch.REPOSITORY / ".dvc/plots", folder / ".dvc/plots")
    for phase in ("data", "runs", "report"):
        sh.runtime(folder, "record", phase)
    sh(folder, "dvc", "commit", "--force", "-q")


def make(finished: Path, base: Path, sh: Shell) -> None:
    """``base/origin``, recorded and committed, and what it pushed to ``base/store``."""
    folder = base / "origin"
    shutil.copytree(
        finished, folder, ignore=shutil.ignore_patterns(".snakemake", "said.txt", "first.txt")
    )
    put_under_dvc(folder, sh)
    sh.runtime(folder, "record")
    sh(folder, "dvc", "remote", "add", "-q", "--default", "store", "../store")
    sh(folder, "dvc", "push", "-q")
    sh(folder, "git", "add", "-A")
    sh(folder, "git", "commit", "-qm", "Results")
