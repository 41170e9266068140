"""A client's adapter: what it uploads, and how it stands beside the U-Net's frozen weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fedgenbench.core import artifacts
from fedgenbench.core.errors import UserError
from fedgenbench.images.pipeline import load
from fedgenbench.images.settings import Base

KIND = "adapters"
NAME = "client"  # of the one adapter in peft's layers
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Adapter:
    """One client's upload of round 0 (WarmFed sheet §3.1): matrices and prompt embeddings, fp16.

    ``tensors`` are by the U-Net's layer, ``<layer>.lora_A.weight`` [rank, in] and
    ``<layer>.lora_B.weight`` [out, rank]; ``embeddings`` is [len(classes), L, D], one for each class
    that the client holds.

    Raises:
        UserError: a number is not finite.
    """

    client: int
    rank: int
    alpha: float
    targets: tuple[str, ...]
    classes: tuple[int, ...]
    tensors: dict[str, Tensor]
    embeddings: Tensor

    def __post_init__(self) -> None:
        for name, tensor in (*self.tensors.items(), ("embeddings", self.embeddings)):
            if not tensor.isfinite().all():
                raise UserError(
                    f"the adapter of client {self.client}: {name} is not finite in half precision; "
                    "its training has diverged. Lower lora.lr"
                )

    @property
    def adapter_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @property
    def embedding_bytes(self) -> int:
        return self.embeddings.nbytes

    def save(self, path: str | Path) -> None:
        facts = {
            "client": self.client,
            "rank": self.rank,
            "alpha": self.alpha,
            "targets": self.targets,
            "classes": self.classes,
        }
        arrays = {f"lora/{name}": tensor.numpy() for name, tensor in self.tensors.items()}
        artifacts.save(path, KIND, arrays | {"embeddings": self.embeddings.numpy()}, facts)

    @classmethod
    def load(cls, path: str | Path) -> Adapter:
        """What ``save`` wrote; ``UserError`` as of ``artifacts.load``."""
        arrays, facts = artifacts.load(path, KIND)
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        embeddings = tensors.pop("embeddings")
        return cls(
            **facts | {key: tuple(facts[key]) for key in ("targets", "classes")},
            tensors={name.removeprefix("lora/"): tensor for name, tensor in tensors.items()},
            embeddings=embeddings,
        )


def read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file; ``UserError`` if it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{path} is missing or damaged ({error}): delete it and run the same command again"
        ) from error


def base_model(settings: Base, device: str) -> Any:
    """The pipeline that ``settings`` name, on ``device``; errors as of ``pipeline.load``."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    return load(settings.source, PRECISIONS[settings.precision], device)


@torch.no_grad()
def embedded(pipeline: Any, prompts: Sequence[str]) -> Tensor:
    """Embeddings [len(prompts), L, D] of prompts by the frozen text encoder, in its precision."""
    parts = [
        pipeline.encode_prompt(prompt, pipeline.device, 1, do_classifier_free_guidance=False)[0]
        for prompt in prompts
    ]
    return torch.cat(parts)


@contextlib.contextmanager
def low_rank(
    unet: Any, rank: int, alpha: float, targets: Sequence[str], dtype: torch.dtype
) -> Iterator[dict[str, nn.Parameter]]:
    """Puts a pair of matrices beside each target layer of ``unet``; yields them by name.

    Their numbers are for the caller to set. They alone are trainable. Afterwards ``unet`` has its
    own layers again, not a bit of them changed: nothing is ever added into the weights.

    Raises:
        UserError: a target names no linear layer.
    """
    from peft import LoraConfig
    from peft.tuners.lora import LoraLayer, LoraModel

    for target in targets:
        layers = [m for name, m in unet.named_modules() if f".{name}".endswith(f".{target}")]
        if not layers or not all(isinstance(layer, nn.Linear) for layer in layers):
            raise UserError(
                f"lora.targets: {target!r} names no linear layer of the U-Net; the "
                "attention's projections are to_q, to_k, to_v and to_out.0"
            )
    trainable = [p for p in unet.parameters() if p.requires_grad]
    device = unet.device
    # Without storage at first, so peft draws nothing from torch's global generator.
    tuner = LoraModel(
        unet,
        LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets), init_lora_weights=False),
        NAME,
        low_cpu_mem_usage=True,
    )
    try:
        for module in unet.modules():
            if isinstance(module, LoraLayer):
                for part in (module.lora_A, module.lora_B):
                    part.to_empty(device=device).to(dtype)
        yield {
            name.replace(f".{NAME}.", "."): parameter
            for name, parameter in unet.named_parameters()
            if f".lora_A.{NAME}." in name or f".lora_B.{NAME}." in name
        }
    finally:
        tuner.unload()
        for parameter in trainable:
            parameter.requires_grad_(True)


@contextlib.contextmanager
def attached(pipeline: Any, adapter: Adapter) -> Iterator[None]:
    """``pipeline`` draws with ``adapter`` inside the block, and is itself again afterwards.

    Raises:
        UserError: the adapter is of another base model.
    """
    unet = pipeline.unet
    with low_rank(unet, adapter.rank, adapter.alpha, adapter.targets, unet.dtype) as parameters:
        whose = f"the adapter of client {adapter.client} does not fit the base model"
        other = sorted(parameters.keys() ^ adapter.tensors.keys())
        if other:
            raise UserError(f"{whose}: only one of them has {other[0]}; tune the client on it")
        for name, parameter in parameters.items():
            tensor = adapter.tensors[name]
            if tensor.shape != parameter.shape:
                raise UserError(
                    f"{whose}: {name} is {list(tensor.shape)}, the model needs "
                    f"{list(parameter.shape)}; tune the client on it"
                )
            parameter.data.copy_(tensor)
            parameter.requires_grad_(False)
        yield
