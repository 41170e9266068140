"""``fedgenbench doctor`` names what is missing and how to get it."""

import shutil
from importlib import metadata
from pathlib import Path

import pytest
from cli_places import REPOSITORY

from fedgenbench.commands import doctor


def test_a_good_folder_can_run(folder, call):
    text = call("doctor")
    assert "The main job can run." in text
    assert "data fashion_mnist: 0 of 4 files in data/raw/fashion_mnist" in text
    assert "model models/foundation: 10 files as recorded" in text


def test_faulty_settings_are_one_of_its_findings(folder, call):
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("device: cpu", "device: gpu"))
    text = call("doctor", status=1)
    assert "device = 'gpu'" in text
    assert "The main job cannot run: 1 need lacking." in text


def test_a_gpu_that_is_asked_for_and_absent_is_lacking(folder, call, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("device: cpu", "device: cuda"))
    assert "lacking  device: cuda, without a GPU" in call("doctor", status=1)


@pytest.fixture
def lock(folder):
    """The folder's own lock file, to be written."""
    (folder / "requirements").unlink()
    shutil.copytree(REPOSITORY / "requirements", folder / "requirements")
    return folder / "requirements/lock.txt"


def test_packages_are_compared_with_the_lock(lock, call):
    click = metadata.version("click")
    lock.write_text(
        f"click=={click} \\\n    --hash=sha256:0\npyyaml==0.1\nwinonly==1 ; "
        "sys_platform == 'win32'\n"
    )
    text = call("doctor")
    assert "note     packages: other versions than requirements/lock.txt: pyyaml" in text
    lock.write_text("no-such-package==1.0\n")
    text = call("doctor", status=1)
    assert (
        "lacking  packages: 1 of 1 are missing: no-such-package\n         -> `make setup`" in text
    )


def test_another_torch_is_named(lock, call):
    (lock.parent / "requirements.in").write_text("torch==9.9.9\n")
    assert "where requirements/requirements.in names 9.9.9" in call("doctor")


def test_model_weights_are_held_to_their_record(folder, call):
    (folder / "models").unlink()
    shutil.copytree(REPOSITORY / "models", folder / "models")
    path = folder / "models/foundation/vae/config.json"
    path.write_text(path.read_text() + " ")
    text = call("doctor")
    assert "note     model models/foundation: missing or not as recorded: vae/config.json" in text
    assert "git checkout models/foundation" in text


def test_a_full_disk_is_lacking(folder, call, monkeypatch):
    class Usage:
        free = 10**9

    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: Usage)
    assert "lacking  disk: 1.0 GB free" in call("doctor", status=1)


def test_data_that_nothing_can_fetch_are_lacking(folder, call, monkeypatch):
    monkeypatch.setattr(doctor, "_found", lambda program: False)
    monkeypatch.setattr("fedgenbench.plan.needs.shutil.which", lambda program: None)
    spec = {"title": "Fashion-MNIST", "sources": [{"kind": "npm"}], "files": {"a": "0"}}
    monkeypatch.setattr("fedgenbench.plan.needs.source_of", lambda name: spec)
    text = call("doctor", status=1)
    assert "lacking  npm: is missing" in text
    assert "put the files into data/raw/fashion_mnist" in text


def test_a_package_that_a_look_needs_is_named():
    def look():
        yield doctor.Finding("ok", "first", "is there")
        raise ModuleNotFoundError("No module named 'x'", name="x")

    first, second = doctor._survived(look)
    assert first.state == "ok"
    assert (second.state, second.what, second.way) == ("lacking", "package x", "`make setup`")
