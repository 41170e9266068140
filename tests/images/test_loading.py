"""Folders that would load with a part missing, or with a default made for another space."""

import json

import pytest
import torch
from model_folders import WEIGHTS, edit
from safetensors.torch import load_file, save_file

from fedgenbench.core.errors import UserError
from fedgenbench.images.loading import load_pipeline
from fedgenbench.images.pipeline import load

UNCLIP = "StableUnCLIPImg2ImgPipeline"


def refused(folder, words, kind="StableDiffusionPipeline"):
    with pytest.raises(UserError, match=words):
        load_pipeline(kind, folder, torch.float32, "cpu")


def test_folders_of_parts_that_nothing_uses_need_not_be_there(model):
    edit(
        model / "model_index.json",
        safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"],
        feature_extractor=["transformers", "CLIPFeatureExtractor"],
        requires_safety_checker=True,
    )
    pipeline = load(model, torch.float32, "cpu")
    assert (pipeline.safety_checker, pipeline.feature_extractor) == (None, None)


def test_a_variant_is_found_for_each_network_by_itself(saved, model):
    (model / "unet" / WEIGHTS).rename(model / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    found, plain = (load(folder, torch.float32, "cpu") for folder in (model, saved / "model"))
    for name, tensor in plain.unet.state_dict().items():
        assert torch.equal(tensor, found.unet.state_dict()[name]), name


# Schedulers --------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["DDIMScheduler", "DDPMScheduler", "LCMScheduler"])
def test_no_scheduler_clips_latents_whatever_its_configuration_leaves_out(name, model):
    edit(model / "model_index.json", scheduler=["diffusers", name])
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    path = model / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(betas | {"_class_name": name, "thresholding": True}))
    config = load(model, torch.float32, "cpu").scheduler.config
    assert (config.clip_sample, config.thresholding) == (False, False)
    assert config.beta_schedule == "scaled_linear"


def test_the_unclips_scheduler_does_not_clip_either(unclip):
    edit(unclip / "model_index.json", scheduler=["diffusers", "DDIMScheduler"])
    path = unclip / "scheduler" / "scheduler_config.json"
    edit(path, _class_name="DDIMScheduler", clip_sample=True)
    assert not load_pipeline(UNCLIP, unclip, torch.float32, "cpu").scheduler.config.clip_sample


def test_an_unknown_scheduler_is_refused(model):
    edit(model / "scheduler" / "scheduler_config.json", _class_name="FancyScheduler")
    refused(model, "is of a FancyScheduler, model_index.json names a DPMSolverMultistepScheduler")
    edit(model / "model_index.json", scheduler=["diffusers", "FancyScheduler"])
    refused(model, "scheduler is a FancyScheduler, which this version of diffusers does not know")
    edit(model / "scheduler" / "scheduler_config.json", _class_name="UNet2DConditionModel")
    edit(model / "model_index.json", scheduler=["diffusers", "UNet2DConditionModel"])
    refused(model, "scheduler is a UNet2DConditionModel, which")


def test_a_schedule_without_betas_would_be_that_of_pixels(model, unclip):
    edit(model / "scheduler" / "scheduler_config.json", beta_schedule=None)
    refused(model, "scheduler_config.json has no beta_schedule.*a model of pixels")
    edit(unclip / "image_noising_scheduler" / "scheduler_config.json", beta_start=None)
    refused(unclip, "image_noising_scheduler.*has no beta_start", UNCLIP)


# Vocabularies ------------------------------------------------------------------------------------
def test_a_tokenizer_of_another_size_is_refused(model):
    tokenizer = model / "tokenizer"
    known = json.loads((tokenizer / "tokenizer.json").read_text())["model"]["vocab"]
    (tokenizer / "tokenizer.json").unlink()
    few = {word: number for word, number in known.items() if number < 20}
    (tokenizer / "vocab.json").write_text(json.dumps(few))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    refused(model, rf"tokenizer knows 22 words, text_encoder {len(known)}; .*vocab.json")


def test_a_tokenizer_without_its_limit_is_refused(model):
    edit(model / "tokenizer" / "tokenizer_config.json", model_max_length=None)
    refused(model, "text_encoder reads 16; tokenizer_config.json lacks model_max_length")


# Weights -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("part", "name"), [("unet", WEIGHTS), ("vae", WEIGHTS), ("text_encoder", "model.safetensors")]
)
def test_no_layer_is_drawn_at_random(part, name, model):
    path = model / part / name
    tensors = load_file(path)
    lost = sorted(tensors)[-1]
    save_file({k: t for k, t in tensors.items() if k != lost}, path, {"format": "pt"})
    refused(model, rf"{part} lack .*{lost.split('.')[-1]} \(1 in all\)")


def test_no_layer_is_dropped(model):
    edit(model / "text_encoder" / "config.json", num_hidden_layers=0)
    refused(model, r"text_encoder hold, without a layer for it, .*layers.0")


def test_weights_of_old_names_are_whole(model):
    """As SD 1.5 was published: position_ids among the text encoder's, other names of attention."""
    path = model / "vae" / WEIGHTS
    tensors = load_file(path)
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for new, old in names.items():
        for name in [name for name in tensors if f".{new}." in name]:
            tensors[name.replace(f".{new}.", f".{old}.")] = tensors.pop(name)
    save_file(tensors, path, {"format": "pt"})
    path = model / "text_encoder" / "model.safetensors"
    tensors = load_file(path) | {"embeddings.position_ids": torch.arange(16)[None]}
    save_file({f"text_model.{k}": t for k, t in tensors.items()}, path, {"format": "pt"})
    load(model, torch.float32, "cpu")


# Parts of different models -----------------------------------------------------------------------
def test_an_autoencoder_whose_scale_is_unknown_is_refused(model):
    path = model / "vae" / "config.json"
    edit(path, scaling_factor=None)
    assert load(model, torch.float32, "cpu").vae.config.scaling_factor == 0.18215  # four channels
    edit(path, scaling_factor=1.0, shift_factor=0.1)
    refused(model, "shift_factor is set")


def test_images_for_the_encoder_are_normalised_as_it_says(unclip):
    path = unclip / "feature_extractor" / "preprocessor_config.json"
    edit(path, image_mean=None)
    refused(unclip, "preprocessor_config.json has no image_mean", UNCLIP)
    edit(path, image_mean=[0.5] * 3, crop_size={"height": 16, "width": 16})
    refused(unclip, "makes images of height 16, image_encoder takes 32", UNCLIP)


def test_a_normalizer_without_its_numbers_is_refused(unclip):
    path = unclip / "image_normalizer" / WEIGHTS
    tensors = load_file(path)
    save_file({"mean": tensors["mean"]}, path, {"format": "pt"})
    refused(unclip, "image_normalizer lack std", UNCLIP)


def test_a_model_of_another_kind_is_told(unclip):
    refused(unclip, f"the model is a {UNCLIP}, not a StableDiffusionPipeline")
