"""The recorded model: where it comes from, that nothing leaked into it, and that it loads."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fedgenbench.data.prepare import emoji_classes, is_test_name
from fedgenbench.data.sources import source_of
from fedgenbench.foundation.captions import captions, make_tokenizer
from fedgenbench.foundation.folder import part_files
from fedgenbench.foundation.pipeline import load, sample
from fedgenbench.foundation.settings import UNetJob
from fedgenbench.runtime.files import read_json

MODEL = Path(__file__).parents[2] / "models" / "foundation"
PROVENANCE = read_json(MODEL / "provenance.json")
RECORDS = [PROVENANCE["trained_on"], PROVENANCE["vae"]["trained_on"]]


@pytest.mark.parametrize("record", RECORDS, ids=["U-Net", "autoencoder"])
def test_it_saw_no_test_name_and_no_clients_style(record):
    facts = source_of("emoji_domains")["facts"]
    listed = {name for names in emoji_classes().values() for name in names}
    assert len(record["images"]) > 1000
    for _, style, name in record["images"]:
        assert style in facts["public_domains"]
        assert style not in facts["domains"]
        assert name in listed
        assert not is_test_name(name)


def test_its_vocabulary_comes_from_the_captions_of_those_images():
    label_of = {name: label for label, names in emoji_classes().items() for name in names}
    texts = [text for _, _, name in RECORDS[0]["images"] for text in captions(label_of[name], name)]
    again = make_tokenizer(texts, UNetJob.model_validate(PROVENANCE["settings"]).text)
    assert load(MODEL, torch.float32, "cpu").tokenizer.get_vocab() == again.get_vocab()


def test_both_parts_saw_the_same_images():
    assert RECORDS[0] == RECORDS[1]


def test_its_files_are_those_of_the_record():
    assert part_files(MODEL) == PROVENANCE["files"]


def test_it_is_small():
    assert sum(path.stat().st_size for path in MODEL.rglob("*") if path.is_file()) < 20e6


def test_its_settings_are_recorded():
    settings = UNetJob.model_validate(PROVENANCE["settings"])
    assert PROVENANCE["history"][-1]["step"] == settings.unet.training.steps
    assert PROVENANCE["vae"]["history"][-1]["step"] == settings.vae.training.steps


def test_it_draws_icons_on_white():
    pipeline = load(MODEL, torch.float32, "cpu")
    prompts = [captions(label, "")[0] for label in ("face", "plant")]
    images = sample(pipeline, prompts, [0, 1], steps=4, guidance=3.0, batch=2)
    assert images.shape == (2, 32, 32, 3)
    assert np.median(images[:, [0, -1]]) > 240
