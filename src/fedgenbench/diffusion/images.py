"""Synthetic images in a file: what the server of WarmFed and FGL trains on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fedgenbench.errors import UserError
from fedgenbench.runtime.files import atomic_path


def save_images(
    path: str | Path,
    images: np.ndarray,
    labels: np.ndarray,
    style: np.ndarray,
    metadata: dict[str, Any],
) -> None:
    """Writes images uint8 [n, H, W, 3], labels and styles int64 [n] and JSON facts to one file."""
    from safetensors.numpy import save_file

    arrays = {"images": images, "labels": labels, "style": style}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with atomic_path(path) as temporary:
        save_file(arrays, temporary, {"facts": json.dumps(metadata, sort_keys=True)})


def load_images(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images uint8 [n, H, W, 3], labels and styles int64 [n], as ``save_images`` wrote them.

    A style is the number of a client, or of FGL's template.

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = load_file(path)
        return found["images"], found["labels"], found["style"]
    except (OSError, SafetensorError, KeyError) as error:
        raise UserError(
            f"{path} is missing or not a file of images ({error!r}): delete it and run the same "
            "command again"
        ) from error
