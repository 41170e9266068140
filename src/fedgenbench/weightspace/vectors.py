"""Client models as rows of one matrix, and back (papers/pfedgpa.md §3.5)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fedgenbench.errors import UserError
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
        together = not isinstance(models, list)
        # Stacked models are of one shape: the first speaks for all.
        rows = [{n: t[0] for n, t in models.items()}] if together else models
        parts = [{"model": _chosen(model, self.layers)} for model in rows]
        for client, part in zip(clients, parts, strict=not together):
            if fault := shape_fault(part, {"model": self.pattern}):
                raise UserError(
                    f"the model of client {client} is of another architecture: {fault}."
                )
        models = models if together else stack_slots(parts)["model"]
        stacked = {name: models[name] for name in self.pattern}
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
    """Per-tensor z-score: one mean and one standard deviation for each tensor of a layout.

    ``mean`` and ``std`` are [tensors], over all entries and all rows of a buffer
    (papers/pfedgpa.md §8, row 10). Kept as they are, they freeze the frame that the networks see.
    """

    def __init__(self, layout: Layout, mean: Tensor, std: Tensor):
        self.mean, self.std = mean, std
        sizes = torch.tensor(layout.sizes, device=mean.device)
        self._shift, self._scale = mean.repeat_interleave(sizes), std.repeat_interleave(sizes)

    @classmethod
    def fit(cls, layout: Layout, vectors: Tensor) -> Normaliser:
        """From ``vectors`` [N, D]. A constant tensor is centred, but keeps scale 1."""
        means, stds = [], []
        for values in vectors.split(layout.sizes, 1):
            std, mean = torch.std_mean(values, correction=0)
            constant = std <= CONSTANT * values.abs().max()
            stds.append(torch.where(constant, torch.ones_like(std), std))
            means.append(mean)
        return cls(layout, torch.stack(means), torch.stack(stds))

    def apply(self, vectors: Tensor) -> Tensor:
        """[K, D] weights to [K, D] in units of their tensor's standard deviation."""
        return (vectors - self._shift) / self._scale

    def invert(self, vectors: Tensor) -> Tensor:
        """The inverse of ``apply``, to rounding."""
        return vectors * self._scale + self._shift

    def state(self) -> State:
        """What the constructor needs beside the layout."""
        return {"mean": self.mean, "std": self.std}


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
