import pytest
import yaml
from cli_places import EXPERIMENT, REPOSITORY
from click.testing import CliRunner

from fedgenbench.cli import main

LINKED = ("workflow_scripts", "src", "papers", "models", "requirements")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with this repository's code and a grid of two methods and two seeds; nothing is made."""
    for name in LINKED:
        (tmp_path / name).symlink_to(REPOSITORY / name)
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    experiment = params["experiments"][EXPERIMENT]
    experiment.pop("ablations")
    experiment["pfedgpa"].pop("newcomers")
    experiment |= {"model": "mlp", "methods": ["local", "fedavg"]}
    params |= {
        "seeds": [0, 1],
        "device": "cpu",
        "datasets": {"fashion_mnist": params["datasets"]["fashion_mnist"]},
        "experiments": {EXPERIMENT: experiment},
        "scales": {},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call():
    """Runs a command; gives its exit status and all that it printed."""

    def run(*arguments, status=0):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == status, done.output
        assert "Traceback" not in done.output
        assert done.exception is None or isinstance(done.exception, SystemExit)
        return done.output

    return run
