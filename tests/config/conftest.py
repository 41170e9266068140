from pathlib import Path

import pytest
import yaml

from fedgenbench.config import load
from fedgenbench.errors import UserError

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


@pytest.fixture
def raw():
    """The content of params.yaml, to be spoiled."""
    return yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def load_raw(tmp_path):
    """Settings from a changed content."""

    def read(content, overrides=None):
        path = tmp_path / "params.yaml"
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        path.write_text(text, encoding="utf-8")
        return load(path, overrides)

    return read


@pytest.fixture
def refusal(load_raw):
    """The message with which a content is refused."""

    def read(content):
        with pytest.raises(UserError) as caught:
            load_raw(content)
        return str(caught.value)

    return read
