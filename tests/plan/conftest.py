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
def write(tmp_path):
    def put(content):
        path = tmp_path / "params.yaml"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path

    return put


@pytest.fixture
def refusal(write):
    """The message with which a content is refused."""

    def read(content, overrides=None):
        with pytest.raises(UserError) as caught:
            load(write(content), overrides)
        return str(caught.value)

    return read
