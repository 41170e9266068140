import shutil

import pytest
from miniature import untrained
from miniature_unclip import pipeline as untrained_unclip

from fedgenbench.images.pipeline import save


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    save(untrained(), folder / "model")
    save(untrained_unclip(), folder / "unclip")
    return folder


@pytest.fixture
def model(saved, tmp_path):
    shutil.copytree(saved / "model", tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def unclip(saved, tmp_path):
    shutil.copytree(saved / "unclip", tmp_path / "unclip")
    return tmp_path / "unclip"
