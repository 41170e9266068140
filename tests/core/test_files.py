"""Files are whole or absent, whatever happens on the way."""

import os
import subprocess
import sys

import pytest

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import atomic_path, read_json, sha256_file, write_json, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_is_complete_and_readable_by_all(tmp_path):
    target = tmp_path / "a/b/file.txt"
    write_text(target, "text")
    assert target.read_text() == "text"
    assert target.stat().st_mode & 0o777 == 0o644
    assert names(target.parent) == ["file.txt"]


def test_a_failure_leaves_the_old_content(tmp_path):
    target = tmp_path / "file.txt"
    write_text(target, "old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_reader_sees_the_old_content_until_the_end(tmp_path):
    target = tmp_path / "file.txt"
    write_text(target, "old")
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


def test_another_name_of_the_old_file_keeps_its_content(tmp_path):
    # A version store that hard-links what it keeps must not be written through.
    target, store = tmp_path / "file.txt", tmp_path / "store"
    write_text(target, "recorded")
    os.link(target, store)
    write_text(target, "new")
    assert (target.read_text(), store.read_text()) == ("new", "recorded")


WRITERS = {
    "text": "temporary.write_text('x' * 10_000)",
    "safetensors": "save_file({'a': np.zeros(10_000)}, temporary)",
    "parquet": "pd.DataFrame({'a': np.arange(10_000.0)}).to_parquet(temporary)",
}
FULL_DISK = """
import resource, signal, sys
import numpy as np
import pandas as pd
from safetensors.numpy import save_file
from fedgenbench.core.errors import UserError
from fedgenbench.core.files import atomic_path
# Modules imported late must not leave cut-off bytecode in the environment.
sys.dont_write_bytecode = True
# The system refuses to let a file grow beyond this, as a full disk does.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    with atomic_path(sys.argv[1]) as temporary:
        {writer}
except UserError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_names_the_file_and_loses_nothing(tmp_path, writer):
    target = tmp_path / "result.bin"
    target.write_text("old")
    code = FULL_DISK.format(writer=WRITERS[writer])
    done = subprocess.run(
        [sys.executable, "-c", code, target], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"could not write {target}: " in done.stderr
    assert "File too large" in done.stderr
    assert "free some space" in done.stderr
    assert "Traceback" not in done.stderr
    assert target.read_text() == "old"
    assert names(tmp_path) == ["result.bin"]


def test_what_a_killed_writer_left_goes_and_a_living_one_keeps_its_file(tmp_path):
    target = tmp_path / "result.bin"
    code = (
        "import sys, time; from fedgenbench.core.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as path:\n"
        "    path.write_text('half'); print(path.name, flush=True); time.sleep(60)"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, target], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        living, killed = (writer.stdout.readline().strip() for writer in writers)
        writers[1].kill()
        writers[1].wait()
        (tmp_path / ".result.bin.mine").write_text("a user's own")
        assert names(tmp_path) == sorted([".result.bin.mine", living, killed])
        write_text(target, "whole")
        assert names(tmp_path) == sorted([".result.bin.mine", living, "result.bin"])
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def test_a_folder_that_takes_no_file_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file where a folder should be")
    with pytest.raises(
        UserError, match=r"could not write .*taken/result\.txt: .*mend the permissions"
    ):
        write_text(tmp_path / "taken" / "result.txt", "text")


def test_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(UserError, match=r"could not write .*taken"):
        write_text(tmp_path / "taken", "text")
    assert names(tmp_path) == ["taken"]


def test_equal_values_give_equal_bytes(tmp_path):
    write_json(tmp_path / "one.json", {"b": 1.5, "a": [1, None, "é"]})
    write_json(tmp_path / "two.json", {"a": [1, None, "é"], "b": 1.5})
    assert sha256_file(tmp_path / "one.json") == sha256_file(tmp_path / "two.json")
    assert read_json(tmp_path / "one.json") == {"a": [1, None, "é"], "b": 1.5}


def test_nan_is_refused_and_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == 1


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe"])
def test_a_damaged_json_file_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json is not valid JSON .*: delete it"):
        read_json(tmp_path / "a.json")


def test_a_missing_json_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"a\.json is missing"):
        read_json(tmp_path / "a.json")
