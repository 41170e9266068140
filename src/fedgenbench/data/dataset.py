"""A prepared data set: arrays in one safetensors file, everything else in its card."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, sha256_file

_TYPES: dict[str, np.dtype[Any]] = {"U8": np.dtype("u1"), "I64": np.dtype("<i8")}


@dataclass(frozen=True)
class Dataset:
    """Images, labels and, for a multi-domain set, the domain of each image.

    Images are uint8 [N, H, W, C], C being 1 or 3. Labels are int64 [N] and index
    ``card["classes"]``; train and test domains index ``card["domains"]``. The public part belongs
    to no client; its domains index ``card["public_domains"]``.
    """

    card: dict[str, Any]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    train_domains: np.ndarray | None = None
    test_domains: np.ndarray | None = None
    public_images: np.ndarray | None = None
    public_labels: np.ndarray | None = None
    public_domains: np.ndarray | None = None

    @property
    def name(self) -> str:
        return self.card["name"]

    @property
    def n_classes(self) -> int:
        return len(self.card["classes"])


def load(folder: str | Path) -> Dataset:
    """The data set that ``prepare`` wrote to ``folder``; arrays are read-only views of the file.

    ``UserError`` if a file is missing or the arrays do not match the card's sha256.
    """
    folder = Path(folder)
    card, path = read_json(folder / "card.json"), folder / "data.safetensors"
    if not path.is_file():
        raise UserError(f"{path} is missing: delete {folder} and prepare the data set again")
    if sha256_file(path) != card["sha256"]:
        raise UserError(
            f"{path} does not match the sha256 in {folder / 'card.json'}, so it is truncated or "
            f"altered: delete {folder} and prepare the data set again"
        )
    return Dataset(card=card, **_views(path))


def _views(path: Path) -> dict[str, np.ndarray]:
    # safe_open copies each array into memory; views of the file let the jobs of one machine share
    # its pages, and a job that needs labels alone reads no images.
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    content = np.memmap(path, np.uint8, mode="r", offset=8 + length)
    arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        arrays[name] = content[begin:end].view(_TYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays
