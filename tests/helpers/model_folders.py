"""Edits of model folders."""

import json

from fedgenbench.core.files import read_json

WEIGHTS = "diffusion_pytorch_model.safetensors"


def edit(path, **values):
    """Sets keys of a JSON file; None takes one away."""
    known = read_json(path) | values
    path.write_text(json.dumps({k: value for k, value in known.items() if value is not None}))
