"""Public drawings: colour emoji, icons and sketches of many hands, each with its name, class and kind.

The pool that the foundation model learns from. Which drawings it may see is decided later, beside the
clients' images (``foundation.pool``); here everything that the listed sets hold is drawn.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import re
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream
from fedgenbench.data.emoji import EMOJI_SIZE, draw, emoji_classes, name_hash
from fedgenbench.data.sources import source_of

NO_CLASS = "other"
HELD_OUT = 10
# Suffixes and prefixes by which sets tell versions of one drawing apart.
_TONES = r"(-(light|medium-light|medium|medium-dark|dark)(-skin-tone)?)+$"
_VERSIONS = (
    r"(-(outlined?|line|linear|filled?|solid|bold|duotone|flat|round(ed)?|sharp|icon|color|alt|"
    r"twotone|streamline|tone|variant|one|two|three|four|five|\d+))+$"
)
_AVOIDED = re.compile(  # words of interfaces: what stands beside them is a button, not a picture
    r"(^|-)(off|slash|plus|minus|add|remove|x|cancel|check|search|share|edit|file|folder|logo|circle|"
    r"square|arrow|up|down|left|right|settings|lock|clock|wifi|code|question|exclamation|dollar|"
    r"percent|pin|map|star|heart|bolt|cog|pause|play|key|shield|export|import|upload|download)(-|$)"
)


@functools.cache
def class_words() -> dict[str, str]:
    """The class of each known name: those of EmojiDomains, and the word lists."""
    import yaml

    lists = yaml.safe_load(
        Path(__file__).with_name("drawing_words.yaml").read_text(encoding="utf-8")
    )
    known = {word: label for label, words in lists.items() for word in words.split()}
    known |= {name: label for label, names in emoji_classes().items() for name in names}
    return known


@functools.cache
def _unbroken() -> dict[str, str]:
    """Known names of several words by what they are when written as one, as one set does."""
    return {name.replace("-", ""): name for name in class_words() if "-" in name}


def plain_name(name: str) -> str:
    """``name`` without skin tones, versions and running numbers: "cat-face-2" is "cat-face"."""
    name = name.lower().replace(" ", "-").replace("_", "-")
    name = re.sub(_VERSIONS, "", re.sub(_TONES, "", name))
    return _unbroken().get(name, name)


def class_of(name: str) -> str:
    """The class of a drawing by its plain name, or ``NO_CLASS``.

    A name counts if it is known, if it is a person at something ("woman-running"), or if its last
    words are known and no word of an interface stands before them.
    """
    known = class_words()
    if name in known:
        return known[name]
    if re.match(r"(man|woman|men|women|person|people)-", name):
        return "person"
    words = name.split("-")
    if _AVOIDED.search(name) or len(words) > 3:
        return NO_CLASS
    ends = ("-".join(words[start:]) for start in range(1, len(words)))
    return next((known[end] for end in ends if end in known), NO_CLASS)


def read(
    dataset: str, raw: Path, limit: int | None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Every drawing of the sets in ``raw``; domains are the sets, and one name in ten is for testing.

    ``limit`` keeps so many drawings per class, set and part. A drawing that repeats another to the
    pixel is left out. The card has the plain name of each drawing, and the kind of each set.

    Raises:
        UserError: a set holds no drawings, or one cannot be drawn.
    """
    sets = source_of(dataset)["facts"]["sets"]
    classes = [*emoji_classes(), NO_CLASS]
    columns: dict[str, list[Any]] = defaultdict(list)
    seen: set[bytes] = set()
    repeated = dict.fromkeys(sets, 0)
    for number, (name, spec) in enumerate(sets.items()):
        counts: Counter[tuple[str, str]] = Counter()
        for title, image in _drawings(raw, name, spec):
            label, part = class_of(title), "test" if name_hash(title) % HELD_OUT == 0 else "train"
            if limit is not None and counts[part, label] >= limit:
                continue
            key = hashlib.sha256(image.tobytes()).digest()
            if key in seen:
                repeated[name] += 1
                continue
            seen.add(key)
            counts[part, label] += 1
            columns[f"{part}_images"].append(image)
            columns[f"{part}_labels"].append(classes.index(label))
            columns[f"{part}_domains"].append(number)
            columns[f"{part}_names"].append(title)
        if not counts:
            raise UserError(f"{dataset}: the set {name} in {raw} holds no drawings: fetch it again")
    names = {f"{part}_names": columns.pop(f"{part}_names") for part in ("train", "test")}
    arrays = {
        key: np.stack(values) if key.endswith("_images") else np.array(values, np.int64)
        for key, values in columns.items()
    }
    card = {
        "classes": classes,
        "domains": list(sets),
        "kinds": [spec["kind"] for spec in sets.values()],
        **names,
        "repeated": repeated,
        "notes": [
            "A drawing's class follows from its name (drawing_words.yaml); of sets of icons those "
            "with a class are kept, of emoji, colour icons and sketches all.",
            f"One name in {HELD_OUT}, by hash, is held out for validation, in every set.",
            "Drawings that repeat another to the pixel are left out, blank ones too.",
        ],
    }
    return arrays, card


def _drawings(raw: Path, name: str, spec: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    if spec["kind"] == "sketch":
        found = _sketches(raw / spec["file"], spec["per_name"])
    else:
        found = _icons(raw, name, spec)
    for title, image in found:
        if image.min() < 200:  # neither blank nor nearly so
            yield title, image


def _icons(raw: Path, name: str, spec: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    icons = json.loads((raw / f"{name}.json").read_bytes())
    wanted = re.compile(spec.get("names", ""))
    for icon in icons["icons"]:
        if not wanted.search(icon):
            continue
        title = plain_name(icon)
        if spec["kind"] in ("line", "solid") and class_of(title) == NO_CLASS:
            continue
        yield title, draw(name, icons, icon)


def _sketches(archive: Path, per_name: int) -> Iterator[tuple[str, np.ndarray]]:
    """QuickDraw's drawings, 28×28, ink 1: centred on 32×32, black on white."""
    edge = (EMOJI_SIZE - 28) // 2
    with tarfile.open(archive) as pack:
        for member in sorted(pack.getmembers(), key=lambda entry: entry.name):
            if not member.name.endswith(".ndjson.gz"):
                continue
            title = plain_name(member.name.rsplit("/", 1)[1].removesuffix(".ndjson.gz"))
            content = pack.extractfile(member)
            assert content is not None  # the archive's checksum says that this is a regular file
            lines = gzip.decompress(content.read()).splitlines()
            order = stream(0, "drawings", title).permutation(len(lines))
            for row in np.sort(order[:per_name]):
                ink = np.array(json.loads(lines[row]), np.float64).reshape(28, 28)
                image = np.full((EMOJI_SIZE, EMOJI_SIZE, 3), 255, np.uint8)
                paper = np.round(255 * (1 - ink.clip(0, 1))).astype(np.uint8)
                image[edge:-edge, edge:-edge] = paper[..., None]
                yield title, image
