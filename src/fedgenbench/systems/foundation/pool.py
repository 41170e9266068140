"""What the foundation model may see: public drawings, none of them a client's or a test picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import atomic_path, read_json, sha256_file, write_json
from fedgenbench.core.streams import stream
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.drawings import NO_CLASS
from fedgenbench.data.emoji import emoji_classes, is_test_name
from fedgenbench.systems.foundation.settings import Shares
from fedgenbench.systems.foundation.twins import find_twins, twin_sheet

# Share of twins among common subjects from which a set redraws a client's style.
VALIDATION = 500  # images
PARTS = ("train", "validation")
REDRAWN = 0.5


@dataclass(frozen=True)
class Pool:
    """Public drawings: images uint8 [N, 32, 32, 3], and per image its class, name, set and kind.

    ``labels`` index ``classes``, whose last is that of drawings without a class. ``held_out`` marks
    validation names, which no training step sees in any set. ``sha256`` is that of the arrays.
    """

    classes: list[str]
    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    styles: list[str]
    kinds: list[str]
    held_out: np.ndarray
    sha256: str

    def part(self, held_out: bool) -> Pool:
        """The validation images, or the training images."""
        return self.select(self.held_out == held_out)

    def weights(self, shares: Shares) -> np.ndarray:
        """How often a training step takes each image, float64 [N], summing to 1.

        A drawing without a class comes in ``shares.classless`` of the cases, of each kind by its share.
        Otherwise a class is drawn evenly, then a kind by its share among those that the class has.
        """
        by_kind = shares.model_dump(exclude={"classless"})
        kinds, chosen = np.array(self.kinds), np.zeros(len(self.labels))
        last = self.classes.index(NO_CLASS)
        labelled = len(set(self.labels) - {last})
        for label in np.unique(self.labels):
            cells = {k: (self.labels == label) & (kinds == k) for k in by_kind}
            total = sum(by_kind[kind] for kind, cell in cells.items() if cell.any())
            whole = shares.classless if label == last else (1 - shares.classless) / labelled
            for kind, cell in cells.items():
                if cell.any() and total:
                    chosen[cell] = whole * by_kind[kind] / total / cell.sum()
        return chosen / chosen.sum()

    def of_a_class(self) -> Pool:
        """The images that have one of the ten classes."""
        return self.select(self.labels < self.classes.index(NO_CLASS))

    def validation(self, shares: Shares, seed: int) -> Pool:
        """At most ``VALIDATION`` held-out images of the ten classes, drawn as training draws."""
        unseen = self.part(held_out=True).of_a_class()
        odds = unseen.weights(shares)
        count = min(VALIDATION, int((odds > 0).sum()))
        draws = stream(seed, "foundation", "validation")
        kept = np.zeros(len(odds), bool)
        kept[draws.choice(len(odds), count, replace=False, p=odds)] = True
        return unseen.select(kept)

    def select(self, kept: np.ndarray) -> Pool:
        """The images for which ``kept``, bool [N], is true."""
        rows = np.flatnonzero(kept)
        return Pool(
            classes=self.classes,
            images=self.images[rows],
            labels=self.labels[rows],
            names=[self.names[i] for i in rows],
            styles=[self.styles[i] for i in rows],
            kinds=[self.kinds[i] for i in rows],
            held_out=self.held_out[rows],
            sha256=self.sha256,
        )


def test_words() -> set[str]:
    """Words that names of test pictures have and names of training pictures have not."""
    words: dict[bool, set[str]] = {True: set(), False: set()}
    for names in emoji_classes().values():
        for name in names:
            words[is_test_name(name)].update(name.split("-"))
    return words[True] - words[False]


def make_pool(drawings: Dataset, private: Dataset, subjects: str, folder: Path) -> None:
    """Writes the pool of ``drawings`` to ``folder``: ``pool.safetensors``, ``pool.json``, ``twins.png``.

    Left out are twins of an image of ``private``, a multi-domain set: of a client's or a test picture.
    With "strict" ``subjects`` also drawings of what is on a test picture, whoever drew them: those with
    a test picture's name, or with a word that only such names have. ``pool.json`` lists every image
    that is kept and every one that was refused, with its twin; the picture shows them side by side.

    Raises:
        UserError: a set redraws a client's style, or nothing is left.
    """
    from safetensors.numpy import save_file

    card, owned = drawings.card, private.card
    images = np.concatenate([drawings.train_images, drawings.test_images])
    labels = np.concatenate([drawings.train_labels, drawings.test_labels])
    sets = np.concatenate([drawings.train_domains, drawings.test_domains])
    # Sets stand one after another in each part.
    names = card["train_names"] + card["test_names"]
    held_out = np.repeat([0, 1], [len(drawings.train_labels), len(drawings.test_labels)])
    clients = np.concatenate([private.train_images, private.test_images])
    their_names = owned["train_names"] + owned["test_names"]
    styles = np.concatenate([private.train_domains, private.test_domains])

    twin = find_twins(images, clients)
    same = _redrawn(names, sets, twin, their_names, styles)
    for row, column in zip(*np.nonzero(same > REDRAWN), strict=True):
        raise UserError(
            f"public_drawings: the set {card['domains'][row]} redraws the clients' style "
            f"{owned['domains'][column]} ({same[row, column]:.0%} of the subjects that both have are "
            "twins): take it out of sources.yaml"
        )
    known = test_words() if subjects == "strict" else set()
    tested = np.array(
        [
            bool(known) and (is_test_name(name) or not known.isdisjoint(name.split("-")))
            for name in names
        ]
    )
    kept = np.flatnonzero((twin < 0) & ~tested)
    if not len(kept):
        raise UserError("public_drawings: no drawing is left that a foundation model may see")

    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        "images": images[kept],
        "labels": labels[kept],
        "sets": sets[kept],
        "held_out": held_out[kept],
    }
    with atomic_path(folder / "pool.safetensors") as temporary:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)

    def listing(held: int) -> dict[str, list[str]]:
        """The names that a part keeps, by set; their order is that of the arrays."""
        return {
            name: [names[row] for row in kept if sets[row] == number and held_out[row] == held]
            for number, name in enumerate(card["domains"])
        }

    refused = np.flatnonzero(twin >= 0)
    write_json(
        folder / "pool.json",
        {
            "subjects": subjects,
            "classes": card["classes"],
            "sets": card["domains"],
            "kinds": card["kinds"],
            "drawings": {part: listing(held) for held, part in enumerate(PARTS)},
            "sha256": sha256_file(folder / "pool.safetensors"),
            "made_of": {"drawings": card["sha256"], "private": owned["sha256"]},
            "subjects_refused": int((tested & (twin < 0)).sum()),
            "twins": [
                {
                    "set": card["domains"][sets[row]],
                    "name": names[row],
                    "of": [owned["domains"][styles[twin[row]]], their_names[twin[row]]],
                }
                for row in refused
            ],
        },
    )
    with atomic_path(folder / "twins.png") as temporary:
        twin_sheet(images[refused], clients[twin[refused]]).save(temporary, format="PNG")


def _redrawn(
    names: list[str], sets: np.ndarray, twin: np.ndarray, their_names: list[str], styles: np.ndarray
) -> np.ndarray:
    """Share of twins among the subjects that a set and a client's style both have, [sets, styles]."""
    shares = np.zeros((sets.max() + 1, styles.max() + 1))
    for number in range(len(shares)):
        rows = np.flatnonzero(sets == number)
        of = {names[row]: int(twin[row]) for row in rows}
        for style in range(shares.shape[1]):
            subjects = {their_names[i] for i in np.flatnonzero(styles == style)} & of.keys()
            twins = [name for name in subjects if of[name] >= 0 and styles[of[name]] == style]
            if len(subjects) >= 20:
                shares[number, style] = len(twins) / len(subjects)
    return shares


def load_pool(folder: str | Path) -> Pool:
    """The pool that ``make_pool`` wrote to ``folder``.

    Raises:
        UserError: a file is missing, or the arrays are not those that ``pool.json`` describes.
    """
    from safetensors.numpy import load_file

    folder = Path(folder)
    record, path = read_json(folder / "pool.json"), folder / "pool.safetensors"
    if not path.is_file() or sha256_file(path) != record["sha256"]:
        raise UserError(
            f"{path} is not the file that pool.json beside it describes: delete {folder} and run the "
            "same command again"
        )
    arrays = load_file(path)
    return Pool(
        classes=record["classes"],
        images=arrays["images"],
        labels=arrays["labels"],
        names=[
            n for part in PARTS for name in record["sets"] for n in record["drawings"][part][name]
        ],
        styles=[record["sets"][number] for number in arrays["sets"]],
        kinds=[record["kinds"][number] for number in arrays["sets"]],
        held_out=arrays["held_out"].astype(bool),
        sha256=record["sha256"],
    )
