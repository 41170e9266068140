"""The recorded models: where they come from, that nothing leaked into them, and that they load."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fedgenbench.core.files import read_json
from fedgenbench.data.drawings import class_of
from fedgenbench.data.emoji import is_test_name
from fedgenbench.data.sources import source_of
from fedgenbench.images.folder import part_files
from fedgenbench.images.pipeline import load, sample
from fedgenbench.systems.foundation.captions import captions, class_prompt, make_tokenizer
from fedgenbench.systems.foundation.pool import test_words
from fedgenbench.systems.foundation.settings import UNetJob

MODELS = Path(__file__).parents[3] / "models"
RECORDED = [path.parent for path in sorted(MODELS.glob("foundation*/pool.json"))]
test_words.__test__ = False


@pytest.fixture(params=RECORDED, ids=[folder.name for folder in RECORDED])
def model(request):
    return request.param


@pytest.fixture(params=["foundation", "foundation_strict", "foundation_early", "unclip"])
def folder(request):
    return MODELS / request.param


def listed(model: Path) -> list[tuple[str, str]]:
    """Set and name of every drawing that the model may have seen."""
    record = read_json(model / "pool.json")
    return [
        (style, name)
        for part in record["drawings"].values()
        for style, names in part.items()
        for name in names
    ]


def test_the_first_model_saw_no_test_name_and_no_clients_style():
    """The strict model, which was recorded before there were lists of a pool (docs/foundation.md)."""
    provenance = read_json(MODELS / "foundation_strict/provenance.json")
    facts = source_of("emoji_domains")["facts"]
    for record in (provenance["trained_on"], provenance["vae"]["trained_on"]):
        assert len(record["images"]) > 1000
        for _, style, name in record["images"]:
            assert style in facts["public_domains"]
            assert style not in facts["domains"]
            assert not is_test_name(name)


def test_it_saw_public_sets_alone_and_many_drawings(model):
    drawn = listed(model)
    assert len(drawn) >= 20_000
    clients = source_of("emoji_domains")["facts"]["domains"]
    sets = source_of("public_drawings")["facts"]["sets"]
    for style, name in drawn:
        assert style in sets
        assert style not in clients
        assert name == name.lower().replace(" ", "-")


def test_twins_of_clients_and_test_pictures_were_refused(model):
    record = read_json(model / "pool.json")
    clients = source_of("emoji_domains")["facts"]["domains"]
    assert len(record["twins"]) > 100
    assert {twin["of"][0] for twin in record["twins"]} <= set(clients)


def test_a_strict_model_knows_no_subject_of_a_test_picture(model):
    names = {name for _, name in listed(model)}
    tested = {n for n in names if is_test_name(n) or not test_words().isdisjoint(n.split("-"))}
    subjects = read_json(model / "pool.json")["subjects"]
    assert bool(tested) == (subjects == "open")


def test_both_parts_saw_the_recorded_pool(model):
    provenance, record = read_json(model / "provenance.json"), read_json(model / "pool.json")
    assert provenance["pool_sha256"] == record["sha256"]
    assert provenance["vae"]["pool_sha256"] == record["sha256"]


@pytest.mark.slow
def test_its_vocabulary_comes_from_the_captions_of_those_drawings(model):
    kinds = {name: s["kind"] for name, s in source_of("public_drawings")["facts"]["sets"].items()}
    record = read_json(model / "pool.json")
    texts = [
        text
        for style, names in record["drawings"]["train"].items()
        for name in names
        for text in captions(class_of(name), name, kinds[style])
    ]
    settings = UNetJob.model_validate(read_json(model / "provenance.json")["settings"])
    vocabulary = make_tokenizer(texts, settings.text).get_vocab()
    assert load(model, torch.float32, "cpu").tokenizer.get_vocab() == vocabulary


def test_its_files_are_those_of_the_record(folder):
    assert part_files(folder) == read_json(folder / "provenance.json")["files"]


def test_the_weights_of_all_foundation_models_together_are_small():
    sizes = [path.stat().st_size for path in MODELS.glob("foundation*/*/*.safetensors")]
    assert len(sizes) == 3 * 3
    assert sum(sizes) <= 40e6


def test_its_settings_are_recorded(model):
    provenance = read_json(model / "provenance.json")
    settings = UNetJob.model_validate(provenance["settings"])
    assert settings.subjects == read_json(model / "pool.json")["subjects"]
    assert provenance["history"][-1]["step"] <= settings.unet.training.steps
    assert provenance["vae"]["history"][-1]["step"] == settings.vae.training.steps


def test_it_draws_icons_on_white():
    pipeline = load(MODELS / "foundation", torch.float32, "cpu")
    prompts = [class_prompt(label) for label in ("face", "plant")]
    images = sample(pipeline, prompts, [0, 1], steps=4, guidance=3.0, batch=2)
    assert images.shape == (2, 32, 32, 3)
    assert np.median(images[:, [0, -1]]) > 240
