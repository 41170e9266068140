"""Synthetic images in a file: what the server of WarmFed and FGL trains on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fedgenbench.core import artifacts

KIND = "images"


def save_images(
    path: str | Path,
    images: np.ndarray,
    labels: np.ndarray,
    style: np.ndarray,
    metadata: dict[str, Any],
) -> None:
    """Writes images uint8 [n, H, W, 3], labels and styles int64 [n] and JSON facts to one file."""
    artifacts.save(path, KIND, {"images": images, "labels": labels, "style": style}, metadata)


def load_images(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images uint8 [n, H, W, 3], labels and styles int64 [n], as ``save_images`` wrote them.

    A style is the number of a client, or of FGL's template.

    Raises:
        UserError: as of ``artifacts.load``.
    """
    found, _ = artifacts.load(path, KIND)
    return found["images"], found["labels"], found["style"]
