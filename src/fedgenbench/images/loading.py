"""Whole pipelines from a folder or the hub: every part of them there, and fit for latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json
from fedgenbench.images.folder import PARTS, index, require_place, require_recorded, weights

LATENT_CHANNELS = 4  # of Stable Diffusion's autoencoder, whose scale is diffusers' default
BETAS = ("beta_start", "beta_end", "beta_schedule")
PIXEL_SPACE = ("clip_sample", "thresholding")  # of schedulers: what keeps pixels in [-1, 1]


def load_pipeline(kind: str, source: str | Path, dtype: torch.dtype, device: Any) -> Any:
    """The pipeline of class ``kind`` in the folder ``source``, or of the hub id ``source``.

    Nothing is fetched for a folder; for an id the hub's cache is asked first, as diffusers does. Where
    a network has no plain weights, its only variant is taken. A safety checker is left out: it would
    blacken drawings that it was not made for.

    Raises:
        UserError: the model is not complete here, its parts do not fit each other, or a file is not
            what the record beside the model says.
    """
    from diffusers.utils import logging
    from transformers.utils import logging as transformers_logging

    logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    require_place(source)
    try:
        folder = Path(source) if Path(source).is_dir() else _fetched(kind, source)
        require_recorded(folder)
        if (found := index(folder)["_class_name"]) != kind:
            raise UserError(f"{folder / 'model_index.json'}: the model is a {found}, not a {kind}")
        parts = {part: _part(folder, part, dtype) for part in PARTS[kind]}
        require_fit(parts, folder)
        pipeline = _assembled(kind, parts)
    except UserError:
        raise
    except Exception as error:  # a damaged folder fails in as many ways as it has parts
        raise UserError(
            f"no {kind} could be loaded from {str(source)!r}: {str(error).strip()}\nGive either a "
            f"folder in diffusers' layout (model_index.json, and the folders {', '.join(PARTS[kind])}; "
            "weights as .safetensors), or a hub id. Without a network, run "
            f"`hf download {source} --local-dir <folder>` on a connected machine and copy the "
            "folder here; or copy that machine's cache to the folder that HF_HOME names."
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def _fetched(kind: str, source: str | Path) -> Path:
    """The folder in the hub's cache of the model ``source``, fetched if it is not there."""
    import diffusers

    optional = {"safety_checker", "feature_extractor", "image_encoder"} - PARTS[kind].keys()
    without = dict.fromkeys(optional)
    pipeline = getattr(diffusers, kind)
    return Path(pipeline.download(str(source), use_safetensors=True, **without))


def _part(folder: Path, part: str, dtype: torch.dtype) -> Any:
    import diffusers
    import transformers
    from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer

    if part.endswith("scheduler"):
        return _scheduler(folder, part)
    place = {"pretrained_model_name_or_path": folder, "subfolder": part, "local_files_only": True}
    if part == "tokenizer":
        return transformers.CLIPTokenizer.from_pretrained(**place)
    if part == "feature_extractor":
        return _feature_extractor(folder, place)
    classes = {
        "unet": diffusers.UNet2DConditionModel,
        "vae": diffusers.AutoencoderKL,
        "text_encoder": transformers.CLIPTextModel,
        "image_encoder": transformers.CLIPVisionModelWithProjection,
        "image_normalizer": StableUnCLIPImageNormalizer,
    }
    network, report = classes[part].from_pretrained(
        **place,
        dtype=dtype,
        use_safetensors=True,
        variant=weights(folder, part)[0],
        output_loading_info=True,
    )
    require_whole(report, f"the weights of {folder / part}")
    return network


def require_whole(report: dict[str, Any], whose: str) -> None:
    """Refuses weights that are not those of the network that config.json describes.

    ``report`` is what ``from_pretrained(output_loading_info=True)`` gives.
    """
    for key, what in (
        ("missing_keys", "lack"),
        ("unexpected_keys", "hold, without a layer for it,"),
    ):
        names = sorted(report[key])
        if names:
            raise UserError(
                f"{whose} {what} {names[0]} ({len(names)} in all), so they are not those of the "
                "config.json beside them; copy or fetch both again"
            )


def _scheduler(folder: Path, part: str) -> Any:
    """The scheduler of a folder, which never clips: latents have no bounds, unlike pixels."""
    import diffusers
    from diffusers import SchedulerMixin

    path = folder / part / "scheduler_config.json"
    name, config = index(folder)[part][1], read_json(path)
    if (claimed := config.get("_class_name", name)) != name:
        raise UserError(
            f"{path} is of a {claimed}, model_index.json names a {name}; make them agree"
        )
    made: Any = getattr(diffusers, name, None)
    known = isinstance(made, type) and issubclass(made, SchedulerMixin)
    if not known:
        raise UserError(
            f"{folder / 'model_index.json'}: {part} is a {name}, which this version of diffusers "
            "does not know; name the scheduler that the model was published with"
        )
    if config.get("trained_betas") is None:
        for key in BETAS:
            if key not in config:
                raise UserError(
                    f"{path} has no {key}, and the default is that of a model of pixels; copy or "
                    "fetch it again"
                )
    scheduler = made.from_config(config)
    own: dict[str, Any] = {key: False for key in PIXEL_SPACE if scheduler.config.get(key)}
    if "steps_offset" in scheduler.config and "steps_offset" not in config:
        own["steps_offset"] = 1  # Stable Diffusion's; diffusers' default is another's
    return made.from_config(config, **own) if own else scheduler


def _feature_extractor(folder: Path, place: dict[str, Any]) -> Any:
    from transformers import CLIPImageProcessor

    path = folder / "feature_extractor" / "preprocessor_config.json"
    config = read_json(path)
    for key in ("size", "crop_size", "image_mean", "image_std"):
        if key not in config:
            raise UserError(
                f"{path} has no {key}, and the default is that of another encoder; copy or fetch it "
                "again"
            )
    return CLIPImageProcessor.from_pretrained(**place)


def require_fit(parts: dict[str, Any], folder: Path) -> None:
    """Refuses parts that do not belong together, or need what nothing here does."""
    unet, vae, text = (parts[name].config for name in ("unet", "vae", "text_encoder"))
    _require_words(parts["tokenizer"], text, folder)
    for key in ("shift_factor", "latents_mean", "latents_std"):
        if vae.get(key):
            raise UserError(
                f"{folder / 'vae' / 'config.json'}: {key} is set, which Stable Diffusion's latents "
                "do not have; take another autoencoder"
            )
    known = read_json(folder / "vae" / "config.json")
    if "scaling_factor" not in known and vae.latent_channels != LATENT_CHANNELS:
        raise UserError(
            f"{folder / 'vae' / 'config.json'} has no scaling_factor, and the default is that of an "
            f"autoencoder with {LATENT_CHANNELS} channels, not {vae.latent_channels}; copy or fetch it "
            "again"
        )
    pairs = [
        ("unet takes latents of", unet.in_channels, "vae gives", vae.latent_channels),
        ("unet takes text of", unet.cross_attention_dim, "text_encoder gives", text.hidden_size),
    ]
    if "image_encoder" in parts:
        vision = parts["image_encoder"].config
        width, crop = vision.projection_dim, parts["feature_extractor"].crop_size
        inputs, edge = unet.projection_class_embeddings_input_dim, vision.image_size
        normal = parts["image_normalizer"].config.embedding_dim
        pairs += [
            ("unet takes embeddings of", inputs, "twice image_encoder's are", 2 * width),
            ("image_normalizer takes embeddings of", normal, "image_encoder gives", width),
            (
                "feature_extractor makes images of height",
                crop["height"],
                "image_encoder takes",
                edge,
            ),
        ]
    for one, size, other, needed in pairs:
        if size != needed:
            raise UserError(
                f"{folder}: {one} {size}, {other} {needed}; these parts are of different models"
            )


def _require_words(tokenizer: Any, text: Any, folder: Path) -> None:
    """Without its vocabulary a tokenizer still loads, and gives all prompts the same tokens."""
    if len(tokenizer) != text.vocab_size:
        raise UserError(
            f"{folder}: tokenizer knows {len(tokenizer)} words, text_encoder {text.vocab_size}; "
            "these are not of one model, or the tokenizer's vocabulary (tokenizer.json, or vocab.json "
            "and merges.txt) was lost: copy or fetch the tokenizer again"
        )
    if tokenizer.model_max_length > text.max_position_embeddings:
        raise UserError(
            f"{folder}: tokenizer allows prompts of {tokenizer.model_max_length} tokens, text_encoder "
            f"reads {text.max_position_embeddings}; tokenizer_config.json lacks model_max_length: copy "
            "or fetch it again"
        )


def _assembled(kind: str, parts: dict[str, Any]) -> Any:
    import diffusers

    pipeline = getattr(diffusers, kind)
    if kind == "StableUnCLIPImg2ImgPipeline":
        return pipeline(**parts)
    return pipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
