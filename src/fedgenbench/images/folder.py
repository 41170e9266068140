"""The folder of a diffusion model: which files it consists of, and what it lacks. Loads nothing heavy."""

from __future__ import annotations

import difflib
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedgenbench.core.digest import digest
from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, sha256_file
from fedgenbench.images.settings import Lora

# What a pipeline is made of, and the class that each part has to be of; None for any scheduler.
PARTS: dict[str, dict[str, str | None]] = {
    "StableDiffusionPipeline": {
        "scheduler": None,
        "text_encoder": "CLIPTextModel",
        "tokenizer": "CLIPTokenizer",
        "unet": "UNet2DConditionModel",
        "vae": "AutoencoderKL",
    },
}
PARTS["StableUnCLIPImg2ImgPipeline"] = PARTS["StableDiffusionPipeline"] | {
    "feature_extractor": "CLIPImageProcessor",
    "image_encoder": "CLIPVisionModelWithProjection",
    "image_normalizer": "StableUnCLIPImageNormalizer",
    "image_noising_scheduler": None,
}
_UNET = "unet/diffusion_pytorch_model.safetensors"
NETWORKS = ("image_encoder", "image_normalizer", "text_encoder", "unet", "vae")
# Old and backend-bound names that folders on the hub give the same class.
SUFFIXES = ("Pil", "Fast")
OLD_NAMES = {"CLIPFeatureExtractor": "CLIPImageProcessor"}
VOCABULARY = ("special_tokens_map.json", "added_tokens.json")  # where there are any
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def means_folder(source: str) -> bool:
    """Does ``source`` mean a folder of this machine, whether it is there or not?

    Ids of the hub are ``owner/name``; what is here, or begins like a folder that is here, is none.
    """
    return Path(source).exists() or not HUB_ID.fullmatch(source) or Path(_owner(source)).is_dir()


def present(source: str) -> bool:
    """Can it be had? A folder that is named is here, or not; a hub id is asked for where it is needed."""
    return not means_folder(source) or Path(source).expanduser().is_dir()


def _owner(source: str) -> str:
    return source.split("/")[0]


def require_place(source: str | Path) -> None:
    """Refuses a ``source`` that is neither a folder nor, by its looks, an id of the hub.

    An id is ``owner/name``. What begins like a folder that is here, or is nearly the name of a model
    folder, is taken for a misspelt path: the hub is not asked.

    Raises:
        UserError: says what is near, and how a model of that id can be had all the same.
    """
    text = str(source)
    if Path(text).is_dir():
        return
    if Path(text).is_file():
        raise UserError(
            f"the model source {text!r} is a file; give a folder in diffusers' layout, with "
            "model_index.json in it"
        )
    models = [path.parent.as_posix() for path in sorted(Path().glob("*/*/model_index.json"))]
    near = difflib.get_close_matches(text.strip("/"), models, 1, 0.8)
    if not HUB_ID.fullmatch(text):
        reason = "it is not of the form owner/name that an id of the hub has"
    elif means_folder(text):
        reason = f"a folder {_owner(text)!r} is here"
    elif near:
        reason = f"it is nearly the name of the folder {near[0]!r}"
    else:
        return
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UserError(
        f"the model source {text!r} is taken for a folder, since {reason}; there is no such "
        f"folder.{hint} Correct the name; or, if a model of the hub is meant, run "
        f"`hf download <owner/name> --local-dir <folder>` and give that folder"
    )


def index(folder: Path) -> dict[str, Any]:
    """``model_index.json`` of a folder.

    Raises:
        UserError: it is missing or damaged, of another kind of pipeline, or lacks a part.
    """
    path = folder / "model_index.json"
    if not path.is_file():
        raise UserError(
            f"{folder} has no model_index.json, so it is no model in diffusers' layout; give the "
            "folder that holds it, beside the folders unet, vae, text_encoder, tokenizer and "
            "scheduler, or the id of a model on the hub"
        )
    found = read_json(path)
    kind = found.get("_class_name") if isinstance(found, dict) else None
    if kind not in PARTS:
        raise UserError(f"{path}: the model is a {kind}; {' and '.join(PARTS)} can be used")
    for part, wanted in PARTS[kind].items():
        known = found.get(part)
        name = known[1] if isinstance(known, list) and len(known) == 2 else None
        if name is None:
            raise UserError(f"{path} names no {part}: the model is not complete; fetch it again")
        plain = OLD_NAMES.get(name, name)
        if wanted and plain not in (wanted, *(wanted + suffix for suffix in SUFFIXES)):
            raise UserError(f"{path}: {part} is a {name}; a {kind} needs a {wanted}")
    return found


def weights(folder: Path, part: str) -> tuple[str | None, list[Path]]:
    """The variant, None for the plain one, and the files of a network's weights.

    Whole and sharded files are found; where there are no plain ones, the only variant is taken.

    Raises:
        UserError: there is none, there are several variants and no plain file, or a shard is missing.
    """
    stem = "model" if part in ("text_encoder", "image_encoder") else "diffusion_pytorch_model"
    found: dict[str | None, Path] = {}
    for path in sorted((folder / part).glob(f"{stem}.*")):
        match = re.fullmatch(
            rf"{stem}(?:\.([\w-]+))?\.safetensors|{stem}\.safetensors\.index(?:\.([\w-]+))?\.json",
            path.name,
        )
        if match and not re.search(r"-\d{5}-of-\d{5}", path.name):
            found.setdefault(match[1] or match[2], path)
    if not found:
        others = ", ".join(p.name for p in sorted((folder / part).glob("*.*"))) or "nothing"
        raise UserError(
            f"{folder / part} has no weights {stem}.safetensors (there is: {others}); fetch them, or "
            "save the model anew with safe_serialization"
        )
    if None not in found and len(found) > 1:
        raise UserError(
            f"{folder / part} has several variants of its weights and no plain one: "
            f"{', '.join(path.name for path in found.values())}; keep one of them there"
        )
    variant = None if None in found else next(iter(found))
    path = found[variant]
    if path.suffix == ".safetensors":
        return variant, [path]
    shards = sorted(set(read_json(path)["weight_map"].values()))
    return variant, [path, *(path.parent / name for name in shards)]


def files(folder: str | Path) -> Iterator[Path]:
    """The files that the model in ``folder`` consists of, whatever else lies there.

    Raises:
        UserError: one that it needs is missing; or as ``index`` and ``weights``.
    """
    folder = Path(folder)
    yield folder / "model_index.json"
    for part in sorted(PARTS[index(folder)["_class_name"]]):
        own = folder / part
        if part in NETWORKS:
            needed = [own / "config.json", *weights(folder, part)[1]]
        elif part == "tokenizer":
            words = ["tokenizer.json"]
            if not (own / words[0]).is_file():
                words = ["vocab.json", "merges.txt"]
            needed = [own / name for name in ("tokenizer_config.json", *words)]
            needed += [own / name for name in VOCABULARY if (own / name).is_file()]
        elif part == "feature_extractor":
            needed = [own / "preprocessor_config.json"]
        else:
            needed = [own / "scheduler_config.json"]
        for path in needed:
            if not path.is_file():
                raise UserError(
                    f"the model in {folder} lacks {path.relative_to(folder).as_posix()}, a part of "
                    f"its {part}; copy or fetch it again"
                )
        yield from needed


def part_files(folder: str | Path) -> dict[str, str]:
    """sha256 by path of each file that the model in ``folder`` consists of; errors as of ``files``.

    What else lies there, such as pictures, records and an editor's backups, changes no image and is
    left out.
    """
    folder = Path(folder)
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files(folder)}


def require_recorded(folder: str | Path) -> None:
    """Refuses a model that is not whole, or not as a record beside it says, where there is one.

    Raises:
        UserError: names the file and how to get it again; or as ``files``.
    """
    folder = Path(folder)
    needed = [path.relative_to(folder).as_posix() for path in files(folder)]
    for record, remedy in (
        (
            folder / "provenance.json",
            f"Get it back with `git checkout -- {folder}`. If it was changed on purpose, delete the "
            "record, or put the run.json of the new training in its place (docs/foundation.md)",
        ),
        (
            folder.parent / "run.json",
            f"Make it anew with `snakemake --cores all --force {folder}`",
        ),
    ):
        known = (read_json(record).get("files") if record.is_file() else None) or {}
        for name in needed:
            if name in known and sha256_file(folder / name) != known[name]:
                raise UserError(
                    f"{folder / name} is not the file that {record} records: it is damaged or was "
                    f"altered. {remedy}"
                )


def fingerprint(source: str) -> str:
    """What identifies the model that ``pipeline.load(source)`` gives, for the digest of a run.

    Of a folder it is the digest of the files that the model consists of; a hub id, or a folder that is
    not here, stands for itself.

    Raises:
        UserError: the folder is no whole model, or a file is not as its provenance.json records.
    """
    if not Path(source).is_dir():
        return source
    require_recorded(source)
    return digest(part_files(source))


def missing_targets(where: str, lora: Lora, folder: Path) -> Iterator[str]:
    """Targets of adapters that name no linear layer of the U-Net in ``folder``, if it is there."""
    if not (folder / _UNET).is_file():
        return
    layers = _linear_layers(folder / _UNET)
    for target in lora.targets:
        if not any(name == target or name.endswith(f".{target}") for name in layers):
            known = ", ".join(sorted({_short(name) for name in layers}))
            yield f"{where}: the U-Net in {folder} has no linear layer {target!r}; it has {known}"


def _short(layer: str) -> str:
    """The end of a layer's name that tells kinds apart: ``to_q``, ``to_out.0``."""
    *_, above, last = ["", *layer.split(".")]
    return f"{above}.{last}" if last.isdigit() else last


def _linear_layers(path: Path) -> list[str]:
    """Names of the layers whose weight is a matrix, from the head of a safetensors file."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        head = json.loads(file.read(length))
    return [
        name.removesuffix(".weight")
        for name, entry in head.items()
        if name.endswith(".weight") and len(entry["shape"]) == 2
    ]
