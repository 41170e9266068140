"""Client models as rows of one matrix, and back (papers/pfedgpa.md §3.5)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fedgenbench.core.errors import UserError
from fedgenbench.federated.server import finite_faults, shape_fault, stack_slots
from fedgenbench.federated.types import State

# A tensor whose values differ by less than this share of their largest one counts as constant:
# float32 holds seven digits.
CONSTANT = 1e-6


@dataclass(frozen=True, eq=False)
class Layout:
    """Which tensors of a model make the vector, in which order: by name, whatever order a dict has.

    ``pattern`` holds them without data (device "meta"); integer tensors are never part of a vector.
    Empty ``layers`` is the whole model, buffers included.
    """

    pattern: State
    layers: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: State, layers: Sequence[str] = ()) -> Layout:
        """The layout of one client's ``model``, or of its ``layers`` by name, e.g. ``["head"]``.

        Raises:
            UserError: a layer is unknown.
        """
        known = {name for tensor in model for name in _prefixes(tensor)}
        for layer in layers:
            if layer not in known:
                names = ", ".join(sorted(known - model.keys() or known))
                raise UserError(f"no layer {layer!r} in the client model; it has {names}.")
        chosen = _chosen(model, layers)
        return cls({name: chosen[name].to("meta") for name in sorted(chosen)}, tuple(layers))

    @property
    def sizes(self) -> list[int]:
        """Numbers per tensor."""
        return [tensor.numel() for tensor in self.pattern.values()]

    @property
    def width(self) -> int:
        """D, the length of a vector."""
        return sum(self.sizes)

    @property
    def signature(self) -> Tensor:
        """[32] uint8: a digest of names, shapes and types, to tell architectures apart."""
        form = [(name, tuple(t.shape), str(t.dtype)) for name, t in self.pattern.items()]
        return torch.tensor(list(hashlib.sha256(repr(form).encode()).digest()), dtype=torch.uint8)

    def flatten(self, models: State | list[State], clients: Sequence[int]) -> Tensor:
        """[K, D] from one model per client, or from models stacked [K, ...] per tensor.

        ``clients`` are their ids. Tensors outside the layout are left out.

        Raises:
            UserError: a client's model has another architecture, or a value that is not finite.
        """
        # Stacked models are of one shape: the first speaks for all.
        rows = models if isinstance(models, list) else [{n: t[0] for n, t in models.items()}]
        parts = [{"model": _chosen(model, self.layers)} for model in rows]
        for client, part in zip(clients, parts, strict=isinstance(models, list)):
            if fault := shape_fault(part, {"model": self.pattern}):
                raise UserError(
                    f"the model of client {client} is of another architecture: {fault}."
                )
        whole = stack_slots(parts)["model"] if isinstance(models, list) else models
        stacked = {name: whole[name] for name in self.pattern}
        for row, fault in sorted(finite_faults({"model": stacked}).items()):
            raise UserError(
                f"the model of client {clients[row]} cannot be used: {fault}. "
                "A lower learning rate often cures non-finite values."
            )
        return torch.cat([tensor.flatten(1) for tensor in stacked.values()], 1)

    def restore(self, vectors: Tensor) -> State:
        """The tensors of the layout, stacked [K, ...], from ``vectors`` [K, D]; all are copies."""
        parts = zip(self.pattern.items(), vectors.split(self.sizes, 1), strict=True)
        return {
            name: part.reshape(len(vectors), *like.shape).to(
                like.dtype, copy=True, memory_format=torch.contiguous_format
            )
            for (name, like), part in parts
        }


class Normaliser:
    """Deviations from the buffer's mean, in units of one standard deviation per tensor.

    ``centre`` is [D], ``std`` [tensors], ``scale`` [D] the same by weight. Weights share a random start
    that is an order of magnitude larger than what tells clients apart; a mean per tensor alone would
    leave it in the vectors (docs/weightspace.md). Kept as they are, both freeze the frame that the
    networks see.
    """

    def __init__(self, layout: Layout, centre: Tensor, std: Tensor):
        self.centre, self.std = centre, std
        sizes = torch.tensor(layout.sizes, device=std.device)
        self.scale = std.repeat_interleave(sizes)

    @classmethod
    def fit(cls, layout: Layout, vectors: Tensor) -> Normaliser:
        """From ``vectors`` [N, D]. A tensor that is the same in all rows keeps scale 1."""
        centre, stds = vectors.mean(0), []
        parts = zip(vectors.split(layout.sizes, 1), centre.split(layout.sizes), strict=True)
        for values, mean in parts:
            std = (values - mean).square().mean().sqrt()
            constant = std <= CONSTANT * values.abs().max()
            stds.append(torch.where(constant, torch.ones_like(std), std))
        return cls(layout, centre, torch.stack(stds))

    def apply(self, vectors: Tensor, columns: slice = slice(None)) -> Tensor:
        """[K, D] weights to [K, D] in units of their tensor's standard deviation.

        ``columns`` are those of the D that ``vectors`` holds.
        """
        return (vectors - self.centre[columns]) / self.scale[columns]

    def invert(self, vectors: Tensor) -> Tensor:
        """The inverse of ``apply``, to rounding."""
        return vectors * self.scale + self.centre

    def state(self) -> State:
        """What the constructor needs beside the layout."""
        return {"centre": self.centre, "std": self.std}


def _chosen(model: State, layers: Sequence[str]) -> State:
    return {
        name: tensor
        for name, tensor in model.items()
        if tensor.is_floating_point() and (not layers or not _prefixes(name).isdisjoint(layers))
    }


def _prefixes(name: str) -> set[str]:
    """``a.b.c`` -> a, a.b, a.b.c."""
    parts = name.split(".")
    return {".".join(parts[: end + 1]) for end in range(len(parts))}
