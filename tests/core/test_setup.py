"""Set-up: a moved folder, two at once, places that cannot be written; with a stand-in for uv."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = """#!/bin/sh
echo "$*" >> uv.log
if [ "$1" = venv ]; then
  mkdir -p .venv/bin
  printf '#!/bin/sh\\n' > .venv/bin/python
  chmod +x .venv/bin/python
fi
sleep ${SLOW:-0}
"""


@pytest.fixture
def checkout(tmp_path):
    """What set-up reads, in a folder with a space and an apostrophe."""
    folder = tmp_path / "o'brien's project"
    for name in ("Makefile", "pyproject.toml", "tools/setup.sh", "requirements/requirements.in"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "requirements/lock.txt").touch()
    (folder / ".boot/bin").mkdir(parents=True)
    (folder / ".boot/bin/uv").write_text(UV)
    (folder / ".boot/bin/uv").chmod(0o755)
    return folder


def start(folder, target="setup", **variables):
    return subprocess.Popen(
        ["make", "--no-print-directory", target],
        cwd=folder,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def make(folder, target="setup", ok=True, **variables):
    process = start(folder, target, **variables)
    said = process.communicate(timeout=60)[0]
    assert (process.returncode == 0) == ok, said
    return said


def builds(folder):
    return (folder / "uv.log").read_text().count("venv --quiet --clear .venv")


def calls(folder):
    return len((folder / "uv.log").read_text().splitlines())


def test_set_up_builds_once_and_again_for_another_lock(checkout):
    make(checkout)
    assert (builds(checkout), calls(checkout)) == (1, 5)
    make(checkout)
    assert calls(checkout) == 5
    (checkout / "requirements/lock.txt").write_text("another==1\n")
    make(checkout)
    assert (builds(checkout), calls(checkout)) == (1, 9)  # installed into the same environment


def test_a_moved_folder_is_said_and_built_again(checkout):
    make(checkout)
    moved = checkout.rename(checkout.with_name(checkout.name + "2"))
    assert f"This folder was {checkout} before: .venv is built again." in make(moved)
    assert builds(moved) == 2
    assert make(moved) == ""


def test_an_environment_that_a_kill_left_half_built_is_built_again(checkout):
    make(checkout)
    (checkout / ".venv/.ready").unlink()
    make(checkout)
    assert builds(checkout) == 2


def test_two_set_ups_at_once_are_one_after_the_other(checkout):
    first = start(checkout, SLOW="0.4")
    while not (checkout / "uv.log").exists():
        time.sleep(0.01)
    assert "Another set-up works in this folder: waiting for it." in make(checkout)
    first.communicate(timeout=60)
    assert (first.returncode, builds(checkout), calls(checkout)) == (0, 1, 5)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"HOME": "/dev/null", "XDG_CACHE_HOME": ""},
            "/dev/null/.cache, cannot be written: set XDG",
        ),
        ({"TMPDIR": "/dev/null/x"}, "temporary folder /dev/null/x is full or cannot be written"),
    ],
)
def test_a_place_that_cannot_be_written_is_said_at_once(checkout, variables, said):
    assert said in make(checkout, ok=False, **variables)
    assert not (checkout / "uv.log").exists()


def test_a_colon_in_the_path_is_said_at_once(checkout):
    moved = checkout.rename(checkout.with_name("a:b"))
    assert "has a colon, at which PATH parts: move this folder" in make(moved, ok=False)


def test_clean_setup_removes_what_set_up_made(checkout):
    make(checkout)
    make(checkout, "clean-setup")
    assert not (checkout / ".venv").exists()
    assert not (checkout / ".boot").exists()
    assert (checkout / "requirements/lock.txt").exists()
