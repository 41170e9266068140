"""Which test images a model gets right: a bit per image, packed, beside its accuracy.

The bits of a model stand in one order: the clients', and within a client that of its test images in
the partition. A digest of the data set and of these positions stands beside them, so that bits of two
jobs are compared image by image only where they are of the same images.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from fedgenbench.core.errors import UserError

KEY = "answers"  # of a job's metrics


def packed(right: Sequence[Any]) -> str:
    """Eight answers a byte, in base64; ``right`` has a boolean array or tensor per client."""
    bits = np.concatenate([np.asarray(part, bool) for part in right])
    return base64.b64encode(np.packbits(bits).tobytes()).decode()


def unpacked(text: str, sizes: Sequence[int]) -> list[np.ndarray]:
    """The boolean arrays that ``packed`` was given, of these lengths.

    Raises:
        UserError: there are fewer or more answers than images.
    """
    return np.split(unpacked_bytes(base64.b64decode(text), sum(sizes)), np.cumsum(sizes)[:-1])


def unpacked_bytes(content: bytes, total: int) -> np.ndarray:
    """The same in one array, from the bytes themselves, as they are collected."""
    raw = np.frombuffer(content, np.uint8)
    if len(raw) != (total + 7) // 8:
        raise UserError(f"{8 * len(raw)} answers do not fit {total} test images: run the job again")
    return np.unpackbits(raw, count=total).astype(bool)


def shares(right: Sequence[Any]) -> list[float]:
    """Accuracy in [0, 1] by client."""
    return [int(part.sum()) / len(part) for part in right]


def digest_of_images(data: str, positions: Sequence[np.ndarray]) -> str:
    """sha256 of what ``data`` names and of each client's positions in it, in their order."""
    found = hashlib.sha256(data.encode())
    for part in positions:
        found.update(f" {len(part)} ".encode() + np.asarray(part, np.int64).tobytes())
    return found.hexdigest()
