"""Files of jobs: what they give back, and what is found out about them."""

import shutil

import numpy as np
import pytest

from fedgenbench.core.artifacts import digest_of, load, read_report, save, write_report
from fedgenbench.core.errors import UserError

ARRAYS = {
    "half": np.arange(6, dtype=np.float16).reshape(2, 3).T,  # not in the order of memory
    "number": np.array(7),
    "bytes": np.arange(4, dtype=np.uint8),
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "adapter3-0123456789" / "adapter.safetensors"
    save(path, "adapters", ARRAYS, {"client": 3, "classes": [1, 2]})
    return path


def flipped(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_file_gives_back_what_was_written_and_is_the_same_each_time(file):
    arrays, facts = load(file, "adapters")
    assert facts == {"client": 3, "classes": [1, 2]}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
        assert np.array_equal(arrays[name], array)
    before = file.read_bytes()
    save(file, "adapters", ARRAYS, facts)
    assert file.read_bytes() == before


def test_a_flipped_bit_is_found_and_the_way_out_named(file):
    flipped(file, -3)
    words = rf"match its checksum.*snakemake --cores all --force {file}`"
    with pytest.raises(UserError, match=words):
        load(file, "adapters")


@pytest.mark.parametrize("place", range(8, 400, 7))
def test_no_flipped_bit_of_the_header_goes_unnoticed(file, place):
    header = int.from_bytes(file.read_bytes()[:8], "little")
    flipped(file, 8 + place % header)
    with pytest.raises(UserError, match=r"adapter\.safetensors .*snakemake"):
        load(file, "adapters")


def test_the_file_of_another_client_in_its_place_is_found(file, tmp_path):
    other = tmp_path / "adapter4-aaaaaaaaaa" / "adapter.safetensors"
    other.parent.mkdir()
    shutil.copy(file, other)
    with pytest.raises(UserError, match="made by the job 0123456789, not by aaaaaaaaaa"):
        load(other, "adapters")
    # A copy that lies in no job's folder is what it says it is.
    shutil.copy(file, tmp_path / "copy.safetensors")
    assert load(tmp_path / "copy.safetensors", "adapters")[1]["client"] == 3


def test_another_kind_of_file_is_named(file):
    with pytest.raises(UserError, match="is a file of adapters, not of images"):
        load(file, "images")
    with pytest.raises(UserError, match=r"absent is missing or damaged"):
        load(file.parent / "absent", "images")


def test_a_report_is_as_it_was_written(tmp_path):
    path = tmp_path / "server_main-0123456789" / "server.json"
    content = {"digest": "0123456789", "rows": {"a": [0.25, 1]}, "by_client": {0: (1, 2)}}
    write_report(path, content)
    assert read_report(path) == content | {"by_client": {"0": [1, 2]}}
    text = path.read_text()
    path.write_text(text.replace("0.25", "0.26"))
    with pytest.raises(UserError, match=r"server.json does not match its checksum.*--force"):
        read_report(path)
    path.write_text("[]")
    with pytest.raises(UserError, match="does not match its checksum"):
        read_report(path)
    other = tmp_path / "server_main-aaaaaaaaaa" / "server.json"
    other.parent.mkdir()
    other.write_text(text)
    with pytest.raises(UserError, match="made by the job 0123456789, not by aaaaaaaaaa"):
        read_report(other)


def test_only_a_job_s_folder_has_a_digest(tmp_path):
    assert digest_of("results/runs/exp/images-3/seed0-0a1b2c3d4e/images.safetensors") == (
        "0a1b2c3d4e"
    )
    assert digest_of(tmp_path / "images.safetensors") is None
    assert digest_of("images-0a1b2c3d4e.safetensors") is None
