"""Public images, which FedDF distils on: they are of nobody and have no labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fedgenbench.core.digest import digest
from fedgenbench.core.errors import UserError
from fedgenbench.core.files import sha256_file

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = (".png", ".jpg", ".jpeg")


def fingerprint(source: str) -> str:
    """What identifies the images, for the digest of a job; of what is not here, its name."""
    path = Path(source)
    if path.is_file():
        return sha256_file(path)
    if path.is_dir():
        return digest([[each.name, each.stat().st_size] for each in _pictures(path)])
    return source


def read_public(source: str, count: int, shape: tuple[int, ...]) -> np.ndarray:
    """The first ``count`` images uint8 [n, H, W, C], as large as ``shape`` [H, W, C].

    Raises:
        UserError: the source is not here, or has fewer.
    """
    import numpy as np
    from PIL import Image

    height, width, channels = shape
    path, where = Path(source), "fedlmg.multi_round.public"
    if not path.exists():
        raise UserError(f"{where}: {source} is not here; put pictures there, or name others")
    found = []
    for picture in _tiles(path) if path.is_file() else map(Image.open, _pictures(path)):
        picture = picture.convert("L" if channels == 1 else "RGB")
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        found.append(np.asarray(picture).reshape(shape))
        if len(found) == count:
            return np.stack(found)
    raise UserError(f"{where}: {source} has {len(found)} images, {count} are asked for: lower it")


def _pictures(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*") if each.suffix.lower() in SUFFIXES)


def _tiles(path: Path) -> Iterator:
    from PIL import Image

    with Image.open(path) as sheet:
        edge = sheet.width
        for top in range(0, sheet.height - edge + 1, edge):
            yield sheet.crop((0, top, edge, top + edge))
