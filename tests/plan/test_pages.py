"""The settings page and the schema follow from the types, and params.yaml from the schema."""

import json
from pathlib import Path

import jsonschema

from fedgenbench.federated.method import METHODS
from fedgenbench.models.registry import MODELS
from fedgenbench.plan import pages


def test_the_generated_pages_are_up_to_date():
    hint = "run `python -m fedgenbench.plan.settings`"
    assert Path("docs/params.schema.json").read_text(encoding="utf-8") == pages.schema(), hint
    assert Path("docs/settings.md").read_text(encoding="utf-8") == pages.page(), hint


def test_params_follow_the_schema_and_a_misspelt_key_does_not(raw):
    validator = jsonschema.Draft202012Validator(json.loads(pages.schema()))
    assert list(validator.iter_errors(raw)) == []
    raw["experiments"]["fashion_mnist-10"]["roundz"] = 3
    raw["methods"]["fedprox"] = {"muu": 1.0}
    faulty = {tuple(error.absolute_path) for error in validator.iter_errors(raw)}
    assert faulty == {("experiments", "fashion_mnist-10"), ("methods", "fedprox")}


def test_every_method_and_model_is_on_the_page():
    page = pages.page()
    for name in METHODS:
        assert f"### `{name}`" in page
    for name in MODELS:
        assert f"`{name}`" in page
