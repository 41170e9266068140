"""EmojiDomains: drawings of the same emoji in ten styles, and how one of them is drawn.

It has no official split: its own is by emoji name, the same in every style, so that no subject of a
test picture occurs in training, drawn by anyone.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json
from fedgenbench.data.sources import source_of

EMOJI_SIZE = 32
# FedLMG gives a client 30 images per class; leaving the rest out keeps data scarce, as there.
EMOJI_TRAIN_PER_CLASS = 30


def emoji_classes() -> dict[str, list[str]]:
    """The ten classes, each with its emoji names."""
    return read_json(Path(__file__).with_name("emoji_classes.json"))["classes"]


def name_hash(name: str) -> int:
    """The sha256 of an emoji name as an integer.

    It fixes the split and the choice of images for every style at once, whatever else is listed:
    a multiple of three makes a test name, and the smallest values are taken first.
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest(), "big")


def is_test_name(name: str) -> bool:
    return name_hash(name) % 3 == 0


def read(
    dataset: str, raw: Path, limit: int | None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and card of EmojiDomains; ``limit`` keeps so many drawings per class, style and part.

    Raises:
        UserError: a style holds another number of the listed drawings than it is known to hold, or one
            cannot be drawn.
    """
    facts, classes = source_of(dataset)["facts"], emoji_classes()
    columns: defaultdict[str, list[Any]] = defaultdict(list)
    drawings = {}
    for style in (*facts["domains"], *facts["public_domains"]):
        icons = json.loads((raw / style / "icons.json").read_bytes())
        own = [name for names in classes.values() for name in names if name in icons["icons"]]
        if len(own) != facts["drawings"][style]:
            raise UserError(
                f"{dataset}: expected {facts['drawings'][style]} listed emoji in {style}, found "
                f"{len(own)}. The raw files passed their checksums, so the pins in sources.yaml and "
                "the facts beside them disagree"
            )
        drawn, repeated = _distinct(own, icons)
        drawings[style] = {"drawn": len(own), "repeated": repeated}
        public = style in facts["public_domains"]
        domain = facts["public_domains" if public else "domains"].index(style)
        for label, names in enumerate(classes.values()):
            ordered = sorted(drawn.intersection(names), key=name_hash)
            train = [name for name in ordered if not is_test_name(name)]
            if public:
                chosen = {"public": train[:limit]}
            else:
                test = [name for name in ordered if is_test_name(name)]
                chosen = {"train": train[:EMOJI_TRAIN_PER_CLASS][:limit], "test": test[:limit]}
            for part, taken in chosen.items():
                columns[f"{part}_images"] += [draw(style, icons, name) for name in taken]
                columns[f"{part}_labels"] += [label] * len(taken)
                columns[f"{part}_domains"] += [domain] * len(taken)
                columns[f"{part}_names"] += taken
    card = {
        "classes": list(classes),
        "domains": facts["domains"],
        "public_domains": facts["public_domains"],
        "drawings": drawings,
        "notes": [
            "Split by emoji name, the same in every style: a name is a test name if its sha256, "
            "read as a big-endian integer, is a multiple of three.",
            f"Training: the first {EMOJI_TRAIN_PER_CLASS} names per class and style in the order "
            "of that integer. Test: every test name. Public styles: every training name.",
            "Aliases are left out: they are second names of another drawing, and some mislead "
            "(in three sets the animal 'cricket' is the drawing of a cricket bat).",
            "Of drawings that a set repeats under several names, the first name is kept.",
        ],
    }
    for part in ("train", "test", "public"):
        card[f"{part}_names"] = columns.pop(f"{part}_names")
    arrays = {
        name: np.stack(values) if name.endswith("_images") else np.array(values, np.int64)
        for name, values in columns.items()
    }
    return arrays, card


def _distinct(names: list[str], icons: dict[str, Any]) -> tuple[set[str], list[str]]:
    """Names with a drawing of their own, and those that repeat the drawing of an earlier name."""
    first: dict[str, str] = {}
    for name in sorted(names):
        first.setdefault(icons["icons"][name]["body"], name)
    kept = set(first.values())
    return kept, sorted(set(names) - kept)


def draw(style: str, icons: dict[str, Any], name: str) -> np.ndarray:
    """One icon on white, centred, as uint8 [32, 32, 3]; monotone sets are drawn in black."""
    from PIL import Image
    from resvg_py import svg_to_bytes

    icon = icons["icons"][name]
    # iconify's defaults for what neither the icon nor the set states
    box = [
        icon.get(key, icons.get(key, default))
        for key, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
    ]
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{EMOJI_SIZE}" height="{EMOJI_SIZE}" viewBox="{" ".join(map(str, box))}" '
        f'color="black">'
        f"{icon['body']}</svg>"
    )
    try:
        # A machine's own fonts must not change a picture.
        png = svg_to_bytes(svg_string=svg, background="white", skip_system_fonts=True)
    except ValueError as error:
        raise UserError(
            f"resvg cannot draw {name} of the set {style} ({error}); install the locked "
            "version of resvg-py"
        ) from error
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
