"""Synthetic images beside the private ones: copies, likeness, style, pictures.

The WarmFed paper is not known to show these measurements; they are checks that its digests recommend
(sheet §2). docs/privacy.md lists every row that comes out. Test images are references here: images of
a client's style that no model saw. Nothing is chosen by them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream, torch_seed
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import Partition
from fedgenbench.images.distances import kernel_distance
from fedgenbench.images.lora import prepared
from fedgenbench.images.measures import accuracy, grid, nearest, outputs, trained_classifier

EDGE = 64  # pixels, at most, at which images are compared
COMPARED = 1000  # images of a set, at most, whose kernel distance is taken, as is usual for KID
CLASSIFIER_EPOCHS = 15
DOMAIN_EPOCHS = 16
PAIRS = 6  # nearest pairs per row of the picture, at most
ENLARGED = 2  # how much pictures are
GAP = 2  # pixels of white around each image


@dataclass(frozen=True)
class Part:
    """Images uint8 [N, H, W, 3] and their labels int64 [N]."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Client:
    """What a client trains on, what it is tested on, and what its adapter drew; and its domain."""

    domain: int
    real: Part
    held_out: Part
    drawn: Part


def row(kind: str, client: int, name: str, value: float) -> dict[str, Any]:
    """One line of the report; ``client`` is -1 where none is meant."""
    return {"kind": kind, "client": client, "name": name, "value": float(value)}


def clients_of(dataset: Dataset, partition: Partition, drawn: list[Part]) -> list[Client]:
    """The partition's clients, ``drawn`` being the images of their adapters in the same order.

    Raises:
        UserError: the numbers of clients differ, or a client's training images have no single domain,
            or no class of its test images.
    """
    if len(drawn) != len(partition.clients):
        raise UserError(
            f"{len(drawn)} sets of synthetic images for {len(partition.clients)} clients: draw them "
            "again from this partition's adapters"
        )
    clients = []
    for number, (rows, own) in enumerate(zip(partition.clients, drawn, strict=True)):
        domains = [] if dataset.train_domains is None else set(dataset.train_domains[rows.train])
        if len(domains) != 1:
            raise UserError(
                f"client {number} of {dataset.name} has images of {len(domains)} domains, but the "
                "style of synthetic images is compared with the one domain of a client: choose "
                "partition.scheme domain or domain_shards"
            )
        real = Part(dataset.train_images[rows.train], dataset.train_labels[rows.train])
        held_out = Part(dataset.test_images[rows.test], dataset.test_labels[rows.test])
        if not np.isin(real.labels, held_out.labels).any():
            raise UserError(
                f"client {number} of {dataset.name} has no class with both training and test images, "
                "which are compared: choose another partition, or raise the data set's limit_per_class"
            )
        clients.append(Client(int(*domains), real, held_out, own))
    return clients


def to_each(images: np.ndarray, clients: list[Client]) -> tuple[np.ndarray, np.ndarray]:
    """Distance [K, N] to the nearest training image of each client, and its row there [K, N]."""
    found = [nearest(images, client.real.images) for client in clients]
    return np.stack([distances for distances, _ in found]), np.stack([rows for _, rows in found])


def duplication(
    clients: list[Client], prompts: Part
) -> tuple[list[dict[str, Any]], list[tuple[np.ndarray, dict[str, Any]]]]:
    """Rows on content duplication; and the nearest pairs of each client's and of FGL's images.

    An image copies from a client if it is nearer to one of its training images than 5 % of its
    held-out images are, as in ``evidence.copied_share``. Each client has a threshold of its own,
    since flat drawings lie closer together than line art. A pair is [H, 2·W, 3]: the synthetic image,
    and at its right the nearest training image of any client.
    """
    rows, pairs = [], []
    shown = min(PAIRS, len(prompts.labels), *(len(client.drawn.labels) for client in clients))
    held_out = [to_each(client.held_out.images, clients)[0] for client in clients]
    limits = np.array([np.quantile(found[k], 0.05) for k, found in enumerate(held_out)])
    control, control_rows = to_each(prompts.images, clients)
    for k, client in enumerate(clients):
        drawn, drawn_rows = to_each(client.drawn.images, clients)
        pairs.append(_pairs(client.drawn.images, drawn, drawn_rows, clients, shown, "adapter", k))
        values = {"held_out_copied_any": (held_out[k] < limits[:, None]).any(0).mean()}
        for prefix, found in (("", drawn), ("prompts_", control)):
            values[f"{prefix}copied_any"] = (found < limits[:, None]).any(0).mean()
            values[f"{prefix}copied_own"] = (found[k] < limits[k]).mean()
        for name, found in (
            ("distance", drawn),
            ("held_out", held_out[k]),
            ("prompts_distance", control),
        ):
            values[f"{name}_any"] = np.median(found.min(0))
            values[f"{name}_own"] = np.median(found[k])
        rows += [row("duplication", k, name, value) for name, value in values.items()]
    pairs.append(_pairs(prompts.images, control, control_rows, clients, shown, "prompt", -1))
    return rows, pairs


def _pairs(
    images: np.ndarray,
    distances: np.ndarray,
    rows: np.ndarray,
    clients: list[Client],
    shown: int,
    kind: str,
    number: int,
) -> tuple[np.ndarray, dict[str, Any]]:
    lowest, owner = distances.min(0), distances.argmin(0)
    worst = np.argsort(lowest, kind="stable")[:shown]
    twins = [clients[owner[i]].real.images[rows[owner[i], i]] for i in worst]
    return np.concatenate([images[worst], np.stack(twins)], axis=2), {
        "kind": kind,
        "client": number,
        "distances": lowest[worst].tolist(),
        "owners": owner[worst].tolist(),
    }


def likeness(
    clients: list[Client],
    prompts: Part,
    domains: list[str],
    features: Callable[[np.ndarray], Tensor],
) -> list[dict[str, Any]]:
    """Rows on kernel distances between real and synthetic images; ``features`` gives [N, F].

    A domain's real images are the training images of all its clients.
    """

    def some(images: np.ndarray) -> Tensor:
        # Evenly spaced: synthetic images follow each other by class.
        return features(images[:: -(-len(images) // COMPARED)])

    of = [client.domain for client in clients]
    present = sorted(set(of))
    real = {
        domain: some(np.concatenate([c.real.images for c in clients if c.domain == domain]))
        for domain in present
    }
    own = [some(client.real.images) for client in clients]
    drawn = [some(client.drawn.images) for client in clients]
    control = some(prompts.images)
    rows = []
    for k, client in enumerate(clients):
        away = {domain: kernel_distance(drawn[k], real[domain]) for domain in present}
        others = [kernel_distance(drawn[j], own[k]) for j in range(len(of)) if of[j] != of[k]]
        values: dict[str, float] = {
            "own": kernel_distance(drawn[k], own[k]),
            "prompts": kernel_distance(control, own[k]),
            "held_out": kernel_distance(some(client.held_out.images), own[k]),
            "rank": 1 + sum(value < away[client.domain] for value in away.values()),
            **{f"real:{domains[domain]}": value for domain, value in away.items()},
        }
        if others:
            values["others"] = float(np.mean(others))
        rows += [row("likeness", k, name, value) for name, value in values.items()]
    return rows


def style(
    clients: list[Client], prompts: Part, guessed: Callable[[np.ndarray], np.ndarray]
) -> list[dict[str, Any]]:
    """Rows on the domain that ``guessed`` gives each image, int64 [N], a classifier of domains."""
    control = guessed(prompts.images)
    rows = []
    for number, client in enumerate(clients):
        for name, found in (
            ("own", guessed(client.drawn.images)),
            ("held_out", guessed(client.held_out.images)),
            ("prompts", control),
        ):
            rows.append(row("style", number, name, (found == client.domain).mean()))
    return rows


def embedding(
    clients: list[Client],
    prompts: Part,
    features: Callable[[np.ndarray], Tensor],
    shown: int,
    seed: int,
) -> pd.DataFrame:
    """t-SNE (van der Maaten and Hinton, 2008) of ``features``: kind, client, label, x, y.

    At most ``shown`` images of each client and kind, and ``shown`` of FGL's for each client, drawn at
    random.
    """
    from sklearn.manifold import TSNE

    sources = [
        (kind, number, part, shown)
        for number, client in enumerate(clients)
        for kind, part in (("real", client.real), ("adapter", client.drawn))
    ]
    sources.append(("prompt", -1, prompts, shown * len(clients)))
    frames, parts = [], []
    for kind, number, part, most in sources:
        order = stream(seed, "examine", "shown", kind, number).permutation(len(part.labels))
        rows = np.sort(order[:most])
        frames.append(pd.DataFrame({"kind": kind, "client": number, "label": part.labels[rows]}))
        parts.append(features(part.images[rows]).double().cpu().numpy())
    frame, values = pd.concat(frames, ignore_index=True), np.concatenate(parts)
    tsne = TSNE(
        init="pca",
        perplexity=min(30, len(values) / 4),
        random_state=torch_seed(seed, "examine", "tsne") % 2**32,  # as scikit-learn asks for
    )
    frame[["x", "y"]] = tsne.fit_transform(values)
    return frame


def sheet(tiles: np.ndarray, columns: int, path: Path) -> None:
    """Images uint8 [N, H, W, 3] as a PNG, enlarged, with white between them, ``columns`` a row."""
    large = tiles.repeat(ENLARGED, 1).repeat(ENLARGED, 2)
    margins = ((0, 0), (GAP, GAP), (GAP, GAP), (0, 0))
    grid(np.pad(large, margins, constant_values=255), columns, path)


def overview(
    clients: list[Client],
    prompts: Part,
    template: np.ndarray,
    card: dict[str, Any],
) -> tuple[np.ndarray, dict[str, Any]]:
    """Tiles [rows · classes, H, W, 3], one per class and row, and what rows and columns are.

    For each client a row of training images and one of its adapter's, then one per template of FGL's,
    ``template`` [N] being the template of each. Where a class is missing, the tile is white.
    """
    domains = card["domains"]
    lines = [
        ({"kind": kind, "client": number, "name": domains[client.domain]}, part)
        for number, client in enumerate(clients)
        for kind, part in (("real", client.real), ("adapter", client.drawn))
    ]
    for number in np.unique(template):
        kept = template == number
        part = Part(prompts.images[kept], prompts.labels[kept])
        lines.append(({"kind": "prompt", "client": -1, "name": f"template {number}"}, part))
    classes, shape = card["classes"], prompts.images.shape[1:]
    tiles = np.full((len(lines) * len(classes), *shape), 255, np.uint8)
    for i, (_, part) in enumerate(lines):
        present, first = np.unique(part.labels, return_index=True)
        tiles[i * len(classes) + present] = part.images[first]
    return tiles, {"rows": [line for line, _ in lines], "columns": classes}


def examine(
    dataset: Dataset,
    clients: list[Client],
    prompts: Part,
    template: np.ndarray,
    shown: int,
    seed: int,
    grid_path: Path,
    duplicates_path: Path,
) -> tuple[list[dict[str, Any]], pd.DataFrame, dict[str, Any]]:
    """All rows, the embedding, and what the two pictures, which are written, show.

    ``prompts`` are FGL's images, ``template`` [N] the number of each one's template. All images are
    brought to the data set's edge, or to 64 pixels if that is less. Features come from one classifier;
    it is trained on the public images, which no client owns, or, where there are none, on all clients'
    training images.
    """
    edge = min(EDGE, dataset.train_images.shape[1])

    def small(part: Part) -> Part:
        return Part(prepared(part.images, edge), part.labels)

    clients = [Client(c.domain, small(c.real), small(c.held_out), small(c.drawn)) for c in clients]
    prompts, card = small(prompts), dataset.card
    real = Part(
        np.concatenate([client.real.images for client in clients]),
        np.concatenate([client.real.labels for client in clients]),
    )
    known = real
    if dataset.public_images is not None and dataset.public_labels is not None:
        known = small(Part(dataset.public_images, dataset.public_labels))
    of_classes = trained_classifier(
        known.images,
        known.labels,
        dataset.n_classes,
        CLASSIFIER_EPOCHS,
        torch_seed(seed, "examine", "classifier"),
    )
    of_domains = trained_classifier(
        real.images,
        np.repeat([c.domain for c in clients], [len(c.real.labels) for c in clients]),
        len(card["domains"]),
        DOMAIN_EPOCHS,
        torch_seed(seed, "examine", "domains"),
    )

    def features(images: np.ndarray) -> Tensor:
        return outputs(of_classes, images)[1]

    found, pairs = duplication(clients, prompts)
    found += likeness(clients, prompts, card["domains"], features)
    found.append(row("likeness", -1, "classifier", accuracy(of_classes, real.images, real.labels)))
    found += style(
        clients, prompts, lambda images: outputs(of_domains, images)[0].argmax(1).numpy()
    )

    tiles, described = overview(clients, prompts, template, card)
    sheet(tiles, len(card["classes"]), grid_path)
    sheet(np.concatenate([tiles for tiles, _ in pairs]), len(pairs[0][0]), duplicates_path)
    pictures = {"grid": described, "duplicates": [entry for _, entry in pairs]}
    return found, embedding(clients, prompts, features, shown, seed), pictures
