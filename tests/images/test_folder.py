"""Which files a model consists of, what it lacks, and what a source's name is taken for."""

import hashlib
import json
import shutil

import pytest
from model_folders import WEIGHTS, edit

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import write_json
from fedgenbench.images.folder import (
    fingerprint,
    part_files,
    require_place,
    require_recorded,
    weights,
)

FILES = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/tokenizer_config.json",
    "tokenizer/tokenizer.json",
    "unet/config.json",
    f"unet/{WEIGHTS}",
    "vae/config.json",
    f"vae/{WEIGHTS}",
]


def test_the_fingerprint_is_that_of_the_files_of_the_model_and_of_no_others(model):
    assert list(part_files(model)) == FILES
    index = (model / "model_index.json").read_bytes()
    assert part_files(model)["model_index.json"] == hashlib.sha256(index).hexdigest()
    before = fingerprint(str(model))
    for stray in ("samples.png", "unet/config.json~", "unet/.config.json.swp", "vae/notes/a.txt"):
        (model / stray).parent.mkdir(exist_ok=True)
        (model / stray).write_bytes(b"stray")
    shutil.copy(
        model / "unet" / WEIGHTS, model / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    )
    assert fingerprint(str(model)) == before
    edit(model / "unet" / "config.json", sample_size=8)
    assert fingerprint(str(model)) != before
    assert fingerprint("somebody/some-model") == "somebody/some-model"


def test_an_unclip_has_four_more_parts(saved):
    added = {name.split("/")[0] for name in part_files(saved / "unclip")}
    added -= {name.split("/")[0] for name in FILES}
    assert added == {
        "feature_extractor",
        "image_encoder",
        "image_normalizer",
        "image_noising_scheduler",
    }


def test_the_old_layout_of_a_tokenizer_is_two_files_and_what_lies_beside(model):
    tokenizer = model / "tokenizer"
    (tokenizer / "tokenizer.json").unlink()
    for name in ("vocab.json", "merges.txt", "special_tokens_map.json"):
        (tokenizer / name).write_text("{}")
    found = {name for name in part_files(model) if name.startswith("tokenizer/")}
    assert found == {
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
    }
    (tokenizer / "merges.txt").unlink()
    with pytest.raises(UserError, match=r"lacks tokenizer/merges.txt, a part of its tokenizer"):
        part_files(model)


@pytest.mark.parametrize("gone", [name for name in FILES if not name.endswith("tokenizer.json")])
def test_every_missing_file_is_named(gone, model):
    (model / gone).unlink()
    with pytest.raises(UserError, match=gone.split("/")[-1].replace(".", r"\.")):
        fingerprint(str(model))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"_class_name": "StableDiffusionXLPipeline"}, "the model is a StableDiffusionXLPipeline"),
        ({"scheduler": [None, None]}, "names no scheduler"),
        ({"tokenizer": None}, "names no tokenizer"),
        (
            {"text_encoder": ["transformers", "CLIPTextModelWithProjection"]},
            "text_encoder is a CLIPTextModelWithProjection; .* needs a CLIPTextModel",
        ),
    ],
)
def test_an_index_that_names_other_parts_is_refused(values, words, model):
    edit(model / "model_index.json", **values)
    with pytest.raises(UserError, match=words):
        fingerprint(str(model))


def test_weights_are_plain_ones_or_the_only_variant(model):
    unet = model / "unet"
    half = unet / "diffusion_pytorch_model.fp16.safetensors"
    (unet / WEIGHTS).rename(half)
    assert weights(model, "unet") == ("fp16", [half])
    other = shutil.copy(half, unet / "diffusion_pytorch_model.non_ema.safetensors")
    with pytest.raises(UserError, match=r"several variants .*fp16.*non_ema.*keep one"):
        weights(model, "unet")
    shutil.copy(half, unet / WEIGHTS)
    assert weights(model, "unet") == (None, [unet / WEIGHTS])
    for path in (half, other, unet / WEIGHTS):
        (unet / path).unlink()
    (unet / "diffusion_pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"no weights .*there is: config.json, .*model.bin"):
        weights(model, "unet")


def test_sharded_weights_are_all_of_their_shards(model):
    encoder = model / "text_encoder"
    (encoder / "model.safetensors").unlink()
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = {"weight_map": {"a": shards[1], "b": shards[0], "c": shards[1]}}
    (encoder / "model.safetensors.index.json").write_text(json.dumps(index))
    (encoder / shards[0]).write_bytes(b"1")
    found = [encoder / name for name in ("model.safetensors.index.json", *shards)]
    assert weights(model, "text_encoder") == (None, found)
    with pytest.raises(UserError, match=rf"lacks text_encoder/{shards[1]}"):
        part_files(model)


def test_a_file_that_is_not_as_recorded_is_named(model):
    write_json(model / "provenance.json", {"files": part_files(model)})
    require_recorded(model)
    path = model / "vae" / WEIGHTS
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=rf"vae/{WEIGHTS} is not the file .*git checkout"):
        fingerprint(str(model))


def test_a_model_of_the_workflow_has_its_record_beside_it(model):
    write_json(model.parent / "run.json", {"files": part_files(model)})
    require_recorded(model)
    edit(model / "scheduler" / "scheduler_config.json", beta_end=0.02)
    with pytest.raises(UserError, match=r"scheduler_config.json is not .*snakemake .*--force"):
        require_recorded(model)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("models/foundtion", "a folder 'models' is here.*mean 'models/foundation'"),
        ("modls/foundation", "nearly the name of the folder 'models/foundation'"),
        ("models/foundation/extra", "not of the form owner/name"),
        ("./sd", "not of the form owner/name"),
        ("/nowhere/sd", "not of the form owner/name"),
        ("~/sd", "not of the form owner/name"),
        ("stable-diffusion", "not of the form owner/name"),
        ("some where/model", "not of the form owner/name"),
    ],
)
def test_a_misspelt_folder_is_no_question_to_the_hub(source, words, tmp_path, monkeypatch):
    (tmp_path / "models" / "foundation").mkdir(parents=True)
    (tmp_path / "models" / "foundation" / "model_index.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    require_place("models/foundation")
    require_place("stable-diffusion-v1-5/stable-diffusion-v1-5")
    with pytest.raises(UserError, match=words) as caught:
        require_place(source)
    assert "hf download" in str(caught.value)


def test_a_single_file_is_no_model(tmp_path):
    (tmp_path / "sd.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="is a file; give a folder"):
        require_place(tmp_path / "sd.safetensors")
