"""Folders of images as users place them."""

import hashlib
import io

import numpy as np
from PIL import Image

from fedgenbench.data.dataset import load
from fedgenbench.data.fetch import fetch
from fedgenbench.data.prepare import prepare

EDGE = 8


def colour(name):
    """A colour for a file, from its name alone."""
    return tuple(hashlib.sha256(name.encode()).digest()[:3])


def picture(name, size=(6, 5), kind=None):
    file = io.BytesIO()
    kind = kind or ("PNG" if name.endswith("png") else "JPEG")
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    Image.new("RGB", size, colour(name)).save(file, kind, **options)
    return file.getvalue()


def place(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture(name))


def run(dataset, raw, out, **settings):
    fetch(dataset, raw / dataset)
    prepare(dataset, raw / dataset, out, **settings)
    return load(out)


def rows(data, part):
    """Domain, class and file of each image, after its pixels were compared with the file's colour."""
    card, found = data.card, []
    columns = [getattr(data, f"{part}_{what}") for what in ("images", "labels", "domains")]
    for image, label, domain, name in zip(*columns, card[f"{part}_files"], strict=True):
        expected = np.broadcast_to(np.array(colour(name), int), image.shape)
        # JPEG rounds a flat colour by a step or two.
        assert np.abs(image - expected).max() <= (0 if name.endswith("png") else 3), name
        found.append((card["domains"][domain], card["classes"][label], name))
    return found
