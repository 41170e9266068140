"""The model on disk, in the loader, and in the sampler."""

import json

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from miniature import settings, untrained

from fedgenbench.core.errors import UserError
from fedgenbench.images.folder import fingerprint
from fedgenbench.images.pipeline import load, sample, save
from fedgenbench.systems.foundation.captions import make_tokenizer

PROMPTS = ["a photo of a face", "a photo of a plant", "an image of plant"]
DRAW = {"steps": 2, "guidance": 3.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model"
    save(untrained(), path)
    return path


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """The hub's cache in a folder of its own, and no network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def test_the_folder_has_the_ordinary_layout_in_half_precision(folder):
    from safetensors import safe_open

    parts = {path.name for path in folder.iterdir()}
    assert parts == {"model_index.json", "scheduler", "text_encoder", "tokenizer", "unet", "vae"}
    assert json.loads((folder / "model_index.json").read_text())["_class_name"] == (
        "StableDiffusionPipeline"
    )
    for path in folder.rglob("*.safetensors"):
        with safe_open(path, "pt") as file:
            assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118


def test_what_is_loaded_is_what_was_saved_to_half_precision(folder):
    pipeline, original = load(folder, torch.float32, "cpu"), untrained()
    assert pipeline.unet.dtype == pipeline.vae.dtype == pipeline.text_encoder.dtype == torch.float32
    assert (pipeline.safety_checker, pipeline.feature_extractor) == (None, None)
    for part in ("unet", "vae", "text_encoder"):
        saved = dict(getattr(original, part).named_parameters())
        loaded = dict(getattr(pipeline, part).named_parameters())
        assert saved.keys() == loaded.keys()
        for name, tensor in saved.items():
            assert torch.equal(tensor.half().float(), loaded[name]), (part, name)


def test_an_image_depends_on_its_prompt_and_seed_alone(folder):
    pipeline = load(folder, torch.float32, "cpu")
    together = sample(pipeline, PROMPTS, [5, 6, 7], batch=3, **DRAW)
    alone = sample(pipeline, PROMPTS, [5, 6, 7], batch=2, **DRAW)
    assert together.shape == (3, 32, 32, 3)
    assert together.dtype == np.uint8
    assert np.abs(together.astype(int) - alone).max() <= 1
    other = sample(pipeline, PROMPTS, [8, 6, 7], batch=3, **DRAW)
    assert np.abs(other.astype(int) - together)[0].max() > 1
    assert np.abs(other.astype(int) - together)[1:].max() <= 1


def test_a_saved_model_replaces_the_one_before(folder, tmp_path):
    target = tmp_path / "model"
    (target / "unet").mkdir(parents=True)
    (target / "unet" / "old.bin").write_bytes(b"old")
    save(untrained(), target)
    assert not (target / "unet" / "old.bin").exists()
    assert fingerprint(str(target)) == fingerprint(str(folder))


def stable_diffusion(folder, version):
    """A folder as the hub has it for ``version``, its networks shrunk and their weights random."""
    from diffusers import (
        AutoencoderKL,
        PNDMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPImageProcessor, CLIPTextConfig, CLIPTextModel

    tokenizer = make_tokenizer(PROMPTS, settings().text)
    widths = (8, 16, 16, 16)
    later = version == "2.1-base"
    with torch.random.fork_rng(devices=[]):
        pipeline = StableDiffusionPipeline(
            vae=AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                block_out_channels=widths,
                norm_num_groups=8,
            ),
            unet=UNet2DConditionModel(
                sample_size=4,
                block_out_channels=widths,
                cross_attention_dim=16,
                attention_head_dim=[1, 2, 2, 2] if later else 2,
                use_linear_projection=later,
                norm_num_groups=8,
            ),
            text_encoder=CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=len(tokenizer),
                    hidden_size=16,
                    intermediate_size=32,
                    num_hidden_layers=1,
                    num_attention_heads=2,
                    max_position_embeddings=16,
                    hidden_act="gelu" if later else "quick_gelu",
                )
            ),
            tokenizer=tokenizer,
            scheduler=PNDMScheduler(skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1),
            safety_checker=None,
            feature_extractor=CLIPImageProcessor(),
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder)
    if not later:  # its index names a safety checker, whose weights need not be fetched
        index = json.loads((folder / "model_index.json").read_text())
        index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
        (folder / "model_index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("version", ["1.5", "2.1-base"])
def test_a_stable_diffusion_folder_takes_the_same_way(version, tmp_path):
    stable_diffusion(tmp_path / "sd", version)
    pipeline = load(tmp_path / "sd", torch.float32, "cpu")
    assert pipeline.safety_checker is None
    assert type(pipeline.scheduler).__name__ == "PNDMScheduler"
    assert sample(pipeline, PROMPTS[:1], [0], batch=1, **DRAW).shape == (1, 32, 32, 3)


def test_a_hub_id_is_found_in_the_hubs_cache(offline, folder):
    repository = offline / "models--somebody--miniature"
    revision = "0" * 40
    (repository / "snapshots").mkdir(parents=True)
    (repository / "snapshots" / revision).symlink_to(folder)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    pipeline = load("somebody/miniature", torch.float32, "cpu")
    assert sample(pipeline, PROMPTS[:1], [0], batch=1, **DRAW).shape == (1, 32, 32, 3)


def test_missing_weights_say_what_to_put_where(offline):
    with pytest.raises(UserError, match=r"hf download somebody/absent --local-dir") as caught:
        load("somebody/absent", torch.float32, "cpu")
    assert "model_index.json" in str(caught.value)
    assert "HF_HOME" in str(caught.value)


@pytest.mark.parametrize("gone", ["model_index.json", "unet/diffusion_pytorch_model.safetensors"])
def test_a_folder_that_lacks_a_part_is_told(gone, tmp_path):
    target = tmp_path / "model"
    save(untrained(), target)
    (target / gone).unlink()
    with pytest.raises(UserError, match=gone.split("/")[-1]):
        load(target, torch.float32, "cpu")


def test_a_cut_off_file_of_weights_is_told(tmp_path):
    target = tmp_path / "model"
    save(untrained(), target)
    weights = target / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(UserError, match="no StableDiffusionPipeline could be loaded"):
        load(target, torch.float32, "cpu")
