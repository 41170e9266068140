"""Contact sheets: images by client and class, those of different origin side by side."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fedgenbench.report.results import Results

MOST = 10  # clients and classes of a sheet
EDGE = 72  # pixels from which on an image is made smaller, so that a page stays small
REAL = "real"


@dataclass(frozen=True)
class Tile:
    """An image uint8 [H, W, 3] with what it is in words; ``twin`` is shown while it is pointed at."""

    image: np.ndarray
    words: str
    twin: "Tile | None" = None

    @property
    def data_uri(self) -> str:
        """WebP: equal pixels for a small image, a small file for a large one."""
        picture = Image.fromarray(self.image)
        small = max(picture.size) <= EDGE
        if not small:
            picture.thumbnail((EDGE, EDGE))
        file = io.BytesIO()
        picture.save(file, "WEBP", lossless=small, quality=80)
        return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


@dataclass(frozen=True)
class ClientImages:
    """A client's part: a row per class, as (class, a tile or None for each of ``columns``).

    pairs: synthetic images whose ``twin`` is the private image nearest to them.
    """

    name: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Tile | None]]]
    pairs: Sequence[Tile] = ()


@dataclass(frozen=True)
class ContactSheet:
    """What a page shows as one figure, a client at a time."""

    id: str
    caption: str
    clients: Sequence[ClientImages]


def spread(items: Sequence[int]) -> list[int]:
    """At most ``MOST`` of them, from all along the list: neighbours are often alike."""
    return list(items[:: -(-len(items) // MOST)]) if items else []


def cells(path: str | Path, rows: int, columns: int) -> np.ndarray:
    """The cells [rows, columns, h, w, 3] of a PNG of equal ones."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    high, wide = pixels.shape[0] // rows, pixels.shape[1] // columns
    return pixels.reshape(rows, high, columns, wide, 3).transpose(0, 2, 1, 3, 4)


def real_images(results: Results, dataset: str) -> Mapping[tuple[str, str], np.ndarray]:
    """(Domain, class) -> a training image, out of pictures that say which of their rows are real."""
    images: dict[tuple[str, str], np.ndarray] = {}
    for picture in results.pictures:
        says = picture.says if isinstance(picture.says, dict) else {}
        if "rows" not in says or results.experiments[picture.experiment]["dataset"] != dataset:
            continue
        tiles = cells(picture.path, len(says["rows"]), len(says["columns"]))
        for row, of_row in zip(says["rows"], tiles, strict=True):
            for label, tile in zip(says["columns"], of_row, strict=True):
                if row["kind"] == REAL and (tile != 255).any():
                    images.setdefault((row["name"], label), tile)
    return images
