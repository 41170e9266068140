"""What docs/synthesis.md says holds."""

import json
import re
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from tiny_clients import TARGETS, settings

from fedgenbench.images.adapters import low_rank
from fedgenbench.images.prompts import class_prompts

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/synthesis.md").read_text()


def test_every_module_is_listed():
    modules = {path.stem for path in (ROOT / "src/fedgenbench/images").glob("[a-z]*.py")}
    listed = set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE))
    assert modules == listed


def test_every_template_names_the_class():
    templates = re.findall(r"^\| \w+ \| `(.*)` \|$", TEXT, re.MULTILINE)
    assert len(templates) == 6
    chosen = settings(prompts={"templates": templates, "per_class": 1}).prompts.templates
    assert all("ice cream" in class_prompts(template, ["ice_cream"])[0] for template in chosen)


def test_the_miniatures_upload_has_the_size_that_is_told():
    config = json.loads((ROOT / "models/foundation/unet/config.json").read_text())
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config)
    with low_rank(unet, 4, 4.0, TARGETS, torch.float16) as parameters:
        count = sum(parameter.numel() for parameter in parameters.values())
    assert f"| miniature | {count:,} numbers | {2 * count / 1e6:.2f} MB |" in TEXT
    text = json.loads((ROOT / "models/foundation/text_encoder/config.json").read_text())
    length, width = text["max_position_embeddings"], text["hidden_size"]
    assert f"{length} × {width} each | {2 * 10 * length * width / 1e6:.2f} MB |" in TEXT


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
def test_the_example_runs(block, tmp_path, monkeypatch):
    from tiny_clients import private

    chosen = settings(ROOT / "models/foundation", {"steps": 2}, per_class=1)
    images, labels = private(4)
    names = {"settings": chosen, "images": images, "labels": labels // 2}
    monkeypatch.chdir(tmp_path)
    exec(block, names)
    assert names["drawn"].images.shape == (2, 32, 32, 3)
    assert names["drawn"].style.tolist() == [3, 3]
