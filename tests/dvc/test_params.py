"""``dvc exp run -S`` rewrites params.yaml: nothing but the asked value may change."""

import shutil
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml

from fedgenbench.core.reading import read_yaml
from fedgenbench.plan.settings import load

PARAMS = Path(__file__).parents[2] / "params.yaml"
RANK = "experiments.emoji_domains.warmfed.lora.rank"


def read(path):
    return read_yaml(path)


def comments(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line[line.index("# ") :].strip() for line in lines if "# " in line]


def test_every_reader_of_yaml_sees_the_same_settings():
    # PyYAML reads YAML 1.1, DVC reads 1.2.
    assert read(PARAMS) == yaml.safe_load(PARAMS.read_text(encoding="utf-8")) == load_yaml(PARAMS)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *(("on", "on"), ("off", "off"), ("yes", "yes"), ("no", "no"), ("true", True)),
        *(("1e-05", 1e-5), ("1.0e-3", 1e-3), (".5", 0.5), ("-3", -3), ("0", 0)),
        *(("010", "010"), ("1:30", "1:30"), ("~", None), ("null", None)),
    ],
)
def test_a_word_is_read_as_dvc_reads_it(tmp_path, word, value):
    path = tmp_path / "params.yaml"
    path.write_text(f"key: {word}\n")
    assert read(path) == {"key": value}
    if word != "010":  # text here, so that it is refused where a number is wanted; ten there
        assert load_yaml(path) == {"key": value}


@pytest.mark.parametrize(
    ("override", "place", "value"),
    [
        (f"{RANK}=8", RANK, 8),
        ("confidence=0.9", "confidence", 0.9),
        ("methods.fedprox.mu=0.00001", "methods.fedprox.mu", 1e-5),
        ("seeds=[7,8]", "seeds", [7, 8]),
        ("scale=smoke", "scale", "smoke"),
    ],
)
def test_set_param_changes_one_value_and_keeps_every_comment(tmp_path, override, place, value):
    path = Path(shutil.copy(PARAMS, tmp_path))
    apply_overrides(path, [override])  # what `-S` does
    wanted = node = read(PARAMS)
    *way, last = place.split(".")
    for key in way:
        node = node[key]
    assert node[last] != value
    node[last] = value
    assert read(path) == wanted
    assert comments(path) == comments(PARAMS)
    load(path)
