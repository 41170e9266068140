"""Prompts: what fills them, and that each class keeps its own."""

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from tiny_clients import CLASSES, untrained

from fedgenbench.core.errors import UserError
from fedgenbench.images.adapters import embedded
from fedgenbench.images.prompts import class_embeddings, class_prompts
from fedgenbench.images.settings import Template
from fedgenbench.systems.fedlmg.baseline_settings import FGL

LONG = "a highly detailed professional studio photograph with soft light of a {label}"


@pytest.fixture(scope="module")
def pipeline():
    return untrained()


@pytest.mark.parametrize("template", ["{label}", "a {label} {{in braces}}", "{label}, {label}"])
def test_templates_with_a_label_are_taken(template):
    assert TypeAdapter(Template).validate_python(template) == template


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("a {label} in the style of {domain}", "nothing fills {domain} .* only {label}"),
        ("a {label} {}", "nothing fills {}"),
        ("a {label} {0}", "nothing fills {0}"),
        ("a {label.name} {label}", "nothing fills {label.name}"),
        ("a {label!r} {label}", "nothing fills {label}"),
        ("a {label} {", "write a brace itself twice"),
        ("a {{label}}", "{label} has to stand in it"),
        ("a picture", "pattern"),
    ],
)
def test_a_placeholder_that_nobody_fills_is_refused_with_the_settings(template, words):
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(Template).validate_python(template)


def test_a_captions_prompt_has_two_placeholders():
    chosen = {"captioner": "names", "negative": ""}
    assert FGL(prompt="{label}, {caption}", **chosen).prompt == "{label}, {caption}"
    with pytest.raises(ValidationError, match=r"nothing fills {style} .* {label} and {caption}"):
        FGL(prompt="{label}, {caption}, {style}", **chosen)


def test_classes_have_their_own_embeddings(pipeline):
    found = class_embeddings(pipeline, "a {label}", CLASSES)
    assert torch.equal(found, embedded(pipeline, class_prompts("a {label}", CLASSES)))


def test_a_class_that_is_cut_off_is_refused(pipeline):
    tokens = len(pipeline.tokenizer(LONG.format(label="face")).input_ids)
    assert tokens > 16
    words = rf"{LONG}'.*face' and .*plant' .* have \d+ tokens, the text encoder reads 16: shorten"
    with pytest.raises(UserError, match=words):
        class_embeddings(pipeline, LONG, ["face", "plant"])
    # What is cut off behind the class is no loss of it.
    class_embeddings(pipeline, "{label}: " + LONG.removesuffix("{label}"), ["face", "plant"])


def test_classes_that_the_tokenizer_cannot_tell_apart_are_refused(pipeline):
    with pytest.raises(UserError, match=r"'a Face' and 'a face' are one .*limit: 16 tokens.*names"):
        class_embeddings(pipeline, "a {label}", ["Face", "plant", "face"])


def test_underscores_in_a_name_are_spaces_in_its_prompt():
    assert class_prompts("a {label}", CLASSES) == ["a face", "a plant", "a ice cream"]
