"""The example of docs/weightspace.md runs."""

import re
from pathlib import Path

import torch

from fedgenbench.models import build

PAGE = Path(__file__).parents[3] / "docs/weightspace.md"


def test_the_example_generates_heads():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    names = {}
    exec(compile(code, PAGE.name, "exec"), names)
    models = [build("mlp", (1, 4, 4), 3, seed).state_dict() for seed in range(3)]
    uploads = {name: torch.stack([m[name] for m in models]) for name in models[0]}
    out, again = (names["generate"](models[0], uploads, [4, 6, 9], 0, 3) for _ in range(2))
    assert out.keys() == {"head.weight", "head.bias"}
    for name, tensor in out.items():
        assert tensor.shape == uploads[name].shape
        assert torch.equal(tensor, again[name])
        assert not torch.equal(tensor, uploads[name])
        assert tensor.isfinite().all()
