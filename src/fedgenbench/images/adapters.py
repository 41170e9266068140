"""A client's adapter: what it uploads, and how it stands beside the U-Net's frozen weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from fedgenbench.core import artifacts
from fedgenbench.core.errors import UserError
from fedgenbench.core.settings import Strict, checked
from fedgenbench.core.uploads import form_fault, value_fault
from fedgenbench.images.pipeline import load
from fedgenbench.images.settings import Base

KIND = "adapters"
NAME = "client"  # of the one adapter in peft's layers
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class AdapterFacts(Strict):
    """What an adapter says of itself in its file."""

    client: int = Field(ge=0)
    rank: int = Field(ge=1)
    alpha: float = Field(gt=0, allow_inf_nan=False)
    targets: list[str]
    classes: list[Annotated[int, Field(ge=0)]]


@dataclass(frozen=True)
class Adapter:
    """One client's upload of round 0 (WarmFed sheet §3.1): matrices and prompt embeddings, fp16.

    ``tensors`` are by the U-Net's layer, ``<layer>.lora_A.weight`` [rank, in] and
    ``<layer>.lora_B.weight`` [out, rank]; ``embeddings`` is [len(classes), L, D], one for each class
    that the client holds.

    Raises:
        UserError: a matrix is not of this rank, or not in half precision; there is not one embedding a
            class; or a number is not finite or too large (``core.uploads``).
    """

    client: int
    rank: int
    alpha: float
    targets: tuple[str, ...]
    classes: tuple[int, ...]
    tensors: dict[str, Tensor]
    embeddings: Tensor

    def __post_init__(self) -> None:
        whose = f"the adapter of client {self.client}"
        if fault := self._misshapen():
            raise UserError(f"{whose}: {fault}; tune the client again")
        if fault := value_fault(self.tensors | {"embeddings": self.embeddings}):
            raise UserError(
                f"{whose}: {fault} in half precision; its training has diverged. Lower lora.lr"
            )

    def _misshapen(self) -> str | None:
        """What its shapes and types say that the rest of it does not."""
        for name, tensor in self.tensors.items():
            # The rank is the first of A's sides and the second of B's.
            side = 0 if ".lora_A." in name else 1
            if tensor.dim() != 2 or tensor.shape[side] != self.rank:
                return f"{name} is {list(tensor.shape)}, of another rank than {self.rank}"
        if self.embeddings.dim() != 3 or len(self.embeddings) != len(self.classes):
            shape = list(self.embeddings.shape)
            return f"its embeddings are {shape}, expected one [tokens, width] for each class"
        if len(set(self.classes)) < len(self.classes):
            return "it names a class twice"
        for name, tensor in (*self.tensors.items(), ("embeddings", self.embeddings)):
            if tensor.dtype != torch.float16:
                return f"{name} is {tensor.dtype}, expected torch.float16"
        return None

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
        """What ``save`` wrote, checked; ``UserError`` as of ``artifacts.load`` and ``AdapterFacts``."""
        arrays, facts = artifacts.load(path, KIND)
        known = checked(AdapterFacts, facts, f"{path}: the adapter")
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        if (embeddings := tensors.pop("embeddings", None)) is None:
            raise UserError(f"{path}: the adapter of client {known.client} has no embeddings")
        return cls(
            client=known.client,
            rank=known.rank,
            alpha=known.alpha,
            targets=tuple(known.targets),
            classes=tuple(known.classes),
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
def attached(pipeline: Any, adapter: Adapter | None) -> Iterator[None]:
    """``pipeline`` draws with ``adapter``, if there is one, in the block, and is itself again afterwards.

    Raises:
        UserError: the adapter is of another base model.
    """
    if adapter is None:
        yield
        return
    unet = pipeline.unet
    with low_rank(unet, adapter.rank, adapter.alpha, adapter.targets, unet.dtype) as parameters:
        whose = f"the adapter of client {adapter.client} does not fit the base model"
        expected = {
            name: torch.empty(parameter.shape, dtype=torch.float16, device="meta")
            for name, parameter in parameters.items()
        }
        if fault := form_fault(adapter.tensors, expected):
            raise UserError(f"{whose}: {fault}; tune the client on it")
        for name, parameter in parameters.items():
            parameter.data.copy_(adapter.tensors[name])
            parameter.requires_grad_(False)
        yield
