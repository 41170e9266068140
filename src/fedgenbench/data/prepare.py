"""Raw files -> one safetensors file of uint8 images and int64 labels, and a card that explains it.

Official test sets stay as they are.
"""

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import atomic_path, sha256_file, write_json
from fedgenbench.core.streams import stream
from fedgenbench.data import drawings, emoji, folders
from fedgenbench.data.fetch import faulty_files
from fedgenbench.data.sources import source_of

_CLASSES = {
    "fashion_mnist": [
        *("T-shirt", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ],
    "mnist": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    "emnist": list(string.digits + string.ascii_uppercase + string.ascii_lowercase),
    "cifar10": [
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ],
}

_Arrays = dict[str, np.ndarray]
_Card = dict[str, Any]


def prepare(
    dataset: str,
    raw: str | Path,
    target: str | Path,
    *,
    limit_per_class: int | None = None,
    on_bad_image: folders.OnBadImage = "refuse",
    on_twins: folders.OnTwins = "refuse",
) -> None:
    """Writes ``data.safetensors`` and ``card.json`` (see ``dataset.Dataset``) to ``target``.

    ``limit_per_class`` keeps at most so many images per class, domain and part, always the same
    ones. ``on_bad_image`` and ``on_twins`` say what becomes of a damaged image, and of a training
    image with the pixels of a test image, in a set of folders. Equal arguments give equal bytes.
    ``UserError`` names the raw file that is missing, truncated or altered.
    """
    raw, target = Path(raw), Path(target)
    spec = source_of(dataset)
    if faults := faulty_files(dataset, raw):
        listing = ", ".join(f"{raw / name} ({reason})" for name, reason in faults.items())
        raise UserError(
            f"{dataset} cannot be prepared: {listing}. Delete {raw / 'SOURCE.json'} and run the "
            "same command: right files are kept, the others are fetched again"
        )
    if "folder" in spec:
        arrays, card = folders.read(
            dataset, raw, target.parent, limit_per_class, on_bad_image, on_twins
        )
    else:
        arrays, card = _READERS[dataset](dataset, raw, limit_per_class)
        card["twins"] = {"count": _twins(arrays)}
    parts = [part for part in ("train", "test", "public") if f"{part}_images" in arrays]
    card = {"domains": None, "public_domains": None, **card}
    card |= {
        "name": dataset,
        "title": spec["title"],
        "works": spec["works"],
        "image_shape": list(arrays["train_images"].shape[1:]),
        "limit_per_class": limit_per_class,
        "counts": {part: len(arrays[f"{part}_labels"]) for part in parts},
        "histograms": {part: _histograms(arrays, card, part) for part in parts},
    }
    if limit_per_class is None and not spec["facts"].get("even"):
        for part in ("train", "test"):
            found = [sum(column) for column in zip(*card["histograms"][part], strict=True)]
            _require(dataset, f"{part} images per class", found, spec["facts"][part])

    with atomic_path(target / "data.safetensors") as temporary:
        _write_arrays(temporary, arrays)
    card["sha256"] = sha256_file(target / "data.safetensors")
    write_json(target / "card.json", card)


def _write_arrays(path: Path, arrays: _Arrays) -> None:
    """The bytes of safetensors' own writer, which would copy every array into memory first."""
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header, end = {}, 0
    for name in names:
        array = arrays[name]
        kind = {"uint8": "U8", "int64": "I64"}[array.dtype.name]
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            arrays[name].tofile(file)


def _histograms(arrays: _Arrays, card: _Card, part: str) -> list[list[int]]:
    """Images per class: one row per domain of the part, or a single row without domains."""
    labels = arrays[f"{part}_labels"]
    domains = arrays.get(f"{part}_domains", np.zeros_like(labels))
    names = card["public_domains"] if part == "public" else card["domains"]
    counts = np.zeros((len(names or [None]), len(card["classes"])), np.int64)
    np.add.at(counts, (domains, labels), 1)
    return counts.tolist()


def _require(dataset: str, what: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise UserError(
            f"{dataset}: expected {what} {expected}, found {found}. The raw files passed their "
            "checksums, so the pins in sources.yaml and the facts beside them disagree"
        )


def _twins(arrays: _Arrays) -> int:
    """Training images that are equal to a test image; where files are pinned nobody can mend them."""
    tested = {image.tobytes() for image in arrays["test_images"]}
    return sum(image.tobytes() in tested for image in arrays["train_images"])


# --- sets with an official test split -------------------------------------------------------------


def _read_official(dataset: str, raw: Path, limit: int | None) -> tuple[_Arrays, _Card]:
    classes, arrays = _CLASSES[dataset], {}
    for part in ("train", "test"):
        images, labels = _FORMATS[dataset](raw, part)
        if not np.array_equal(np.unique(labels), np.arange(len(classes))):
            raise UserError(
                f"{dataset}: the {part} labels in {raw} are not the {len(classes)} numbers from 0 "
                "on, so these are the files of another set or split: put the right ones there"
            )
        if limit is not None:
            kept = _first_of_each_class(labels, limit, dataset, part)
            images, labels = images[kept], labels[kept]
        arrays[f"{part}_images"] = images
        arrays[f"{part}_labels"] = labels
    notes = ["The official split, in the order of the raw files."]
    if dataset == "emnist":
        notes.append("Each image is transposed, as the authors publish it.")
    if limit is not None:
        notes.append(f"A slice: {limit} images per class and part from a named random stream.")
    return arrays, {"classes": classes, "notes": notes}


def _read_mnist(raw: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    return _read_idx(raw, "train" if part == "train" else "t10k")


def _read_emnist(raw: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    # Rows and columns stay swapped, as torchvision and FedPAC leave them.
    return _read_idx(raw, f"emnist-byclass-{part}")


def _read_idx(raw: Path, stem: str) -> tuple[np.ndarray, np.ndarray]:
    # idx: a header of 16 bytes before images and 8 before labels, then plain bytes.
    labels = np.fromfile(raw / f"{stem}-labels-idx1-ubyte", np.uint8, offset=8)
    images = np.fromfile(raw / f"{stem}-images-idx3-ubyte", np.uint8, offset=16)
    return images.reshape(len(labels), 28, 28, 1), labels.astype(np.int64)


def _read_cifar(raw: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if part == "train" else ["test_batch.bin"]
    records = np.concatenate(
        [np.fromfile(raw / name, np.uint8).reshape(-1, 3073) for name in names]
    )
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, 0].astype(np.int64)


def _first_of_each_class(labels: np.ndarray, limit: int, *names: str) -> np.ndarray:
    order = stream(0, "prepare", *names).permutation(len(labels))
    kept = [order[labels[order] == label][:limit] for label in np.unique(labels)]
    return np.sort(np.concatenate(kept))


_FORMATS: dict[str, Callable[[Path, str], tuple[np.ndarray, np.ndarray]]] = {
    "fashion_mnist": _read_mnist,
    "mnist": _read_mnist,
    "emnist": _read_emnist,
    "cifar10": _read_cifar,
}


_READERS: dict[str, Callable[..., tuple[_Arrays, _Card]]] = {
    **dict.fromkeys(_FORMATS, _read_official),
    "emoji_domains": emoji.read,
    "public_drawings": drawings.read,
}
