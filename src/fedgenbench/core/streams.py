"""Named random streams: every draw has an address, and no draw moves another.

``stream(seed, "partition", "cifar10")`` always gives the same generator, whatever else a run draws
before or after. There is no global generator anywhere in the library.
"""

import hashlib

import numpy as np


def _entropy(seed: int, names: tuple[str | int, ...]) -> list[int]:
    # The type enters the key, so that stream(0, 1) and stream(0, "1") differ; the length prefix
    # keeps ("ab", "c") and ("a", "bc") apart.
    parts = [f"{type(name).__name__}:{len(str(name))}:{name}" for name in (seed, *names)]
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 32, 4)]


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """The generator (PCG64) at the address ``names`` below the root ``seed``."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(_entropy(seed, names))))


def torch_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed for ``torch.Generator.manual_seed``, addressed like ``stream``."""
    return int(stream(seed, *names).integers(0, 2**63 - 1))
