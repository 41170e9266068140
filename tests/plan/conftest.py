import pytest
import yaml

from fedgenbench.core.errors import UserError
from fedgenbench.plan.settings import load


@pytest.fixture(autouse=True)
def _here(in_the_repository):
    pass


@pytest.fixture
def alone(raw):
    """The content with one experiment, at one scale, where no other repeats its faults."""

    def keep(name):
        experiments = raw["experiments"]
        chosen = experiments[name]
        if "like" in chosen:
            chosen = experiments[chosen.pop("like")] | chosen
        raw["experiments"] = {name: chosen}
        raw["scales"] = {}
        return raw

    return keep


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
