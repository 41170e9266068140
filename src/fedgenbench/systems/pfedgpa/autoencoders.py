"""From normalised weights to latent codes and back, in three kinds with one interface.

``fit(normaliser, vectors, steps, generator)`` learns from weights [M, D]; ``encode`` and ``decode``
map weights [K, D] to codes [K, L] and back; ``state`` and ``load`` carry it over. Weights are
normalised part by part, so that no second copy of a large buffer is made.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from fedgenbench.core.errors import UserError
from fedgenbench.federated.types import State
from fedgenbench.systems.pfedgpa.diffusion import Training
from fedgenbench.systems.pfedgpa.networks import Autoencoder, build
from fedgenbench.systems.pfedgpa.settings import GeneratorSettings
from fedgenbench.systems.pfedgpa.vectors import Normaliser

ROWS = 16  # clients that are encoded or decoded at once
COLUMNS = 8192  # weights that are normalised at once
TINY = 1e-10  # share of the largest eigenvalue under which a direction holds rounding alone


class Direct:
    """No autoencoder: the codes are the normalised weights."""

    def __init__(
        self, width: int, settings: GeneratorSettings, seed: int, device: str | torch.device
    ):
        self.latent = width

    def fit(
        self, normaliser: Normaliser, vectors: Tensor, steps: int, generator: torch.Generator
    ) -> None:
        pass

    def encode(self, normaliser: Normaliser, vectors: Tensor) -> Tensor:
        return normaliser.apply(vectors)

    def decode(self, normaliser: Normaliser, codes: Tensor) -> Tensor:
        return normaliser.invert(codes)

    def state(self) -> State:
        return {}

    def load(self, state: State) -> None:
        pass


class Linear:
    """Principal components of the stored uploads: the best of all linear autoencoders.

    Fitted anew in closed form at each fit, because uploads leave the span of earlier ones as clients
    learn. The new basis [L, D] is then turned to lie as close to the old one as it can (orthogonal
    Procrustes), so that the denoiser finds its codes nearly where they were.
    """

    def __init__(
        self, width: int, settings: GeneratorSettings, seed: int, device: str | torch.device
    ):
        self.latent = settings.components
        self.basis: Tensor | None = None

    def fit(
        self, normaliser: Normaliser, vectors: Tensor, steps: int, generator: torch.Generator
    ) -> None:
        if len(vectors) <= self.latent:
            raise UserError(
                f"the linear autoencoder of {self.latent} components needs more than {self.latent} "
                f"uploads at its first fit and has {len(vectors)}: lower `components`, or lengthen "
                "the warm-up or the buffer."
            )
        # Through the Gram matrix [M, M]: M is hundreds where D is a hundred thousand.
        gram = torch.zeros(len(vectors), len(vectors), dtype=torch.float64).to(vectors.device)
        for columns in self._columns(vectors):
            part = normaliser.apply(vectors[:, columns], columns)
            gram += part @ part.T
        values, eigenvectors = torch.linalg.eigh(gram)
        values, mix = values.flip(0)[: self.latent], eigenvectors.flip(1)[:, : self.latent]
        # A direction without variance gets no basis vector, and nothing divides by its zero.
        real = values > TINY * values[0].clamp_min(torch.finfo(values.dtype).tiny)
        mix = (mix * torch.where(real, values.abs().rsqrt(), 0.0)).to(vectors)
        basis = torch.cat(
            [mix.T @ normaliser.apply(vectors[:, c], c) for c in self._columns(vectors)], 1
        )
        if self.basis is not None:
            left, _, right = torch.linalg.svd((self.basis @ basis.T).double())
            basis = (left @ right).to(basis) @ basis
        self.basis = basis

    @staticmethod
    def _columns(vectors: Tensor) -> list[slice]:
        return [slice(c, c + COLUMNS) for c in range(0, vectors.shape[1], COLUMNS)]

    def encode(self, normaliser: Normaliser, vectors: Tensor) -> Tensor:
        assert self.basis is not None
        turned = self.basis.T
        return torch.cat([normaliser.apply(part) @ turned for part in vectors.split(ROWS)])

    def decode(self, normaliser: Normaliser, codes: Tensor) -> Tensor:
        assert self.basis is not None
        return normaliser.invert(codes @ self.basis)

    def state(self) -> State:
        assert self.basis is not None
        return {"basis": self.basis}

    def load(self, state: State) -> None:
        self.basis = state["basis"]


class Conv:
    """The 1-D convolutional autoencoder of p-diff; live weights, as early p-diff decodes with."""

    def __init__(
        self, width: int, settings: GeneratorSettings, seed: int, device: str | torch.device
    ):
        self.batch_size = settings.batch_size
        kind = partial(Autoencoder, channels=settings.autoencoder_channels)
        self.network = build(kind, width, seed).to(device)
        self.training = Training(self.network)
        self.latent = self.network.latent

    def fit(
        self, normaliser: Normaliser, vectors: Tensor, steps: int, generator: torch.Generator
    ) -> None:
        for _ in range(steps):
            picks = torch.randint(len(vectors), (self.batch_size,), generator=generator)
            rows = normaliser.apply(vectors[picks.to(vectors.device)])
            self.training.step(partial(Autoencoder.loss, x=rows, generator=generator))

    @torch.no_grad()
    def encode(self, normaliser: Normaliser, vectors: Tensor) -> Tensor:
        encode = self.network.encode
        return torch.cat([encode(normaliser.apply(part)) for part in vectors.split(ROWS)])

    @torch.no_grad()
    def decode(self, normaliser: Normaliser, codes: Tensor) -> Tensor:
        decode = self.network.decode
        return torch.cat([normaliser.invert(decode(part)) for part in codes.split(ROWS)])

    def state(self) -> State:
        return self.training.state()

    def load(self, state: State) -> None:
        self.training.load(state)


AUTOENCODERS: dict[str, type[Direct] | type[Linear] | type[Conv]] = {
    "none": Direct,
    "linear": Linear,
    "conv": Conv,
}
