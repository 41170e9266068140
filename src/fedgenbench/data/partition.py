"""Who holds what: index lists into a prepared data set, as one checked JSON file.

A scheme deals out the training split, and gives each client a local test set of the same
distribution, always from the test split:

``fedpac``         equal sizes, a share uniform over all classes, the rest from the dominant classes
                   of the client's group; test alike. The only scheme in which clients may share
                   images: a class that is used up begins again.
``domain``         one client per domain; test is the domain's test images.
``domain_shards``  the domain's training images in random near-equal shards, one per client; all
                   clients of a domain share its test images, since shards of these would be tiny.
``domain_dirichlet``  every class of a domain's training images is dealt out by Dirichlet shares among
                   the domain's clients, who share its test images.
``dirichlet``      every class is dealt out by Dirichlet shares; test images by the same shares.
``class_blocks``   consecutive classes, training and test, for each client; with a stride below the
                   block's size, neighbours share classes, whose images are dealt out among them.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json, write_json
from fedgenbench.core.streams import stream
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.schemes import (
    ClassBlocksSettings,
    DirichletSettings,
    DomainDirichletSettings,
    DomainSettings,
    DomainShardsSettings,
    FedPacSettings,
    Scheme,
)
from fedgenbench.data.subsets import drawn_subjects, split_off

_DIRICHLET_DRAWS = 1000


@dataclass(frozen=True)
class Client:
    """Sorted int64 positions in the data set's train split (train, valid) and test split (test)."""

    train: np.ndarray
    test: np.ndarray
    valid: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True)
class Partition:
    """The clients of one data set, and how they came about.

    ``histograms["train"]`` and the like are images per client (row) and class (column);
    ``data_sha256`` is that of the data set's arrays.
    """

    dataset: str
    data_sha256: str
    settings: dict[str, Any]
    seed: int
    card: str
    clients: tuple[Client, ...]
    histograms: dict[str, list[list[int]]]

    def save(self, path: str | Path) -> None:
        clients = _as_lists(self.clients)
        fields = vars(self) | {"clients": clients, "sha256": _digest(clients)}
        write_json(path, fields)

    @classmethod
    def load(cls, path: str | Path) -> "Partition":
        """``UserError`` if the file is missing or its index lists do not match its checksum."""
        fields = read_json(path)
        try:
            if fields.pop("sha256") != _digest(fields["clients"]):
                raise UserError(
                    f"{path}: the index lists do not match their sha256, so the file was altered: "
                    "delete it and make the partition again"
                )
            clients = tuple(
                Client(**{part: _positions(rows) for part, rows in client.items()})
                for client in fields.pop("clients")
            )
            return cls(clients=clients, **fields)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise UserError(
                f"{path} is not a partition ({error!r}): delete it and make the partition again"
            ) from error

    def require(self, dataset: Dataset) -> None:
        """``UserError`` unless the positions are those of ``dataset`` as it is now, and lie in it."""
        if self.data_sha256 != dataset.card["sha256"]:
            raise UserError(
                f"the partition was made from another state of the data set {self.dataset}: make "
                "the partition again"
            )
        counts = {"train": len(dataset.train_labels), "test": len(dataset.test_labels)}
        counts["valid"] = counts["train"]
        for number, client in enumerate(self.clients):
            for part, rows in vars(client).items():
                if len(rows) and rows.max() >= counts[part]:
                    raise UserError(
                        f"the partition gives client {number} the {part} image {rows.max()}, of "
                        f"{counts[part]}: delete it and make the partition again"
                    )


def _positions(rows: Any) -> np.ndarray:
    """A list of positions as int64; ``ValueError`` for what is none."""
    if not isinstance(rows, list) or not all(type(row) is int and row >= 0 for row in rows):
        raise ValueError("positions are whole numbers from zero")
    return np.array(rows, np.int64)


def _as_lists(clients: tuple[Client, ...]) -> list[dict[str, list[int]]]:
    return [{part: rows.tolist() for part, rows in vars(client).items()} for client in clients]


def _digest(clients: list[dict[str, list[int]]]) -> str:
    return hashlib.sha256(json.dumps(clients, sort_keys=True).encode()).hexdigest()


def make_partition(dataset: Dataset, settings: Scheme, seed: int) -> Partition:
    """Deals ``dataset`` out to clients. Equal arguments give an equal partition.

    ``UserError`` names the setting that the data set cannot meet.
    """
    address = ("partition", dataset.name, settings.scheme)
    train, test = _SCHEMES[settings.scheme](dataset, settings, seed, address)
    drawn = drawn_subjects(dataset, settings.subjects, seed)
    clients = []
    for number, (kept, tested) in enumerate(zip(train, test, strict=True)):
        kept = np.sort(kept)
        kept = kept[drawn[kept]]
        if settings.valid_fraction:
            kept, valid = split_off(
                kept,
                dataset.train_labels,
                settings.valid_fraction,
                stream(seed, *address, "valid", number),
            )
            clients.append(Client(kept, np.sort(tested), valid))
        else:
            clients.append(Client(kept, np.sort(tested)))
    labels = {
        "train": dataset.train_labels,
        "test": dataset.test_labels,
        "valid": dataset.train_labels,
    }
    histograms = {
        part: [
            np.bincount(all_labels[getattr(client, part)], minlength=dataset.n_classes).tolist()
            for client in clients
        ]
        for part, all_labels in labels.items()
    }
    sizes = sorted({len(client.train) for client in clients})
    card = (
        f"{dataset.card['title']}, scheme {settings.scheme}: {len(clients)} clients with "
        f"{' to '.join(map(str, sizes[:1] + sizes[1:][-1:]))} training images each, seed {seed}"
    )
    return Partition(
        dataset=dataset.name,
        data_sha256=dataset.card["sha256"],
        settings=settings.model_dump(),
        seed=seed,
        card=card,
        clients=tuple(clients),
        histograms=histograms,
    )


# --- schemes: (dataset, settings, seed, stream address) -> train and test positions per client -----

_Parts = tuple[list[np.ndarray], list[np.ndarray]]


def _class_lists(labels: np.ndarray, n_classes: int, seed: int, *names: str) -> list[np.ndarray]:
    """Positions of each class, shuffled."""
    order = stream(seed, *names).permutation(len(labels))
    shuffled = labels[order]
    return [order[shuffled == label] for label in range(n_classes)]


def fedpac_histogram(settings: FedPacSettings, group: int, n_classes: int, total: int) -> list[int]:
    """Images per class of a client of ``group``: both parts give their remainder to their last
    class, as FedPAC does."""
    uniform = int(round(total * settings.uniform_share, 6))
    counts = [uniform // n_classes] * n_classes
    counts[-1] += uniform % n_classes
    dominant = settings.groups[group]
    for label in dominant:
        counts[label] += (total - uniform) // len(dominant)
    counts[dominant[-1]] += (total - uniform) % len(dominant)
    return counts


def _fedpac(
    dataset: Dataset, settings: FedPacSettings, seed: int, address: tuple[str, ...]
) -> _Parts:
    for group in settings.groups:
        if max(group) >= dataset.n_classes or len(set(group)) < len(group):
            raise UserError(
                f"partition.groups: {group} must be distinct classes below {dataset.n_classes}, "
                f"the number of classes of {dataset.name}"
            )
    parts = []
    for part, labels, total, start in (
        ("train", dataset.train_labels, settings.train_per_client, settings.train_start),
        ("test", dataset.test_labels, settings.test_per_client, settings.test_start),
    ):
        lists = _class_lists(labels, dataset.n_classes, seed, *address, part)
        pointers = [start] * dataset.n_classes
        clients = []
        for number in range(settings.clients):
            place = number % len(settings.groups)
            counts = fedpac_histogram(settings, place, dataset.n_classes, total)
            pieces = []
            for label, count in enumerate(counts):
                if count > len(lists[label]):
                    raise UserError(
                        f"partition.{part}_per_client: {total} needs {count} images of class "
                        f"{label}, {dataset.name} has {len(lists[label])}: lower it"
                    )
                # What is left of a class is not split: the client takes a whole piece from its
                # start instead. So no client holds an image twice.
                if pointers[label] + count > len(lists[label]):
                    pointers[label] = 0
                pieces.append(lists[label][pointers[label] :][:count])
                pointers[label] += count
            clients.append(np.concatenate(pieces))
        parts.append(clients)
    return parts[0], parts[1]


def _domain_positions(dataset: Dataset, scheme: str) -> _Parts:
    if dataset.train_domains is None:
        raise UserError(
            f"partition.scheme: {scheme} needs a data set with domains, {dataset.name} has none: "
            "choose fedpac, dirichlet or class_blocks"
        )
    numbers = range(len(dataset.card["domains"]))
    return (
        [np.flatnonzero(dataset.train_domains == number) for number in numbers],
        [np.flatnonzero(dataset.test_domains == number) for number in numbers],
    )


def _domain(
    dataset: Dataset, settings: DomainSettings, seed: int, address: tuple[str, ...]
) -> _Parts:
    return _domain_positions(dataset, settings.scheme)


def _domain_shards(
    dataset: Dataset, settings: DomainShardsSettings, seed: int, address: tuple[str, ...]
) -> _Parts:
    shards, tests = [], []
    count = settings.clients_per_domain
    for number, (train, test) in enumerate(
        zip(*_domain_positions(dataset, settings.scheme), strict=True)
    ):
        if count > len(train):
            raise UserError(
                f"partition.clients_per_domain: {count} clients for the {len(train)} training "
                f"images of {dataset.card['domains'][number]}: lower it"
            )
        shards += np.array_split(stream(seed, *address, number).permutation(train), count)
        tests += [test] * count
    return shards, tests


def _domain_dirichlet(
    dataset: Dataset, settings: DomainDirichletSettings, seed: int, address: tuple[str, ...]
) -> _Parts:
    held, tests = [], []
    count = settings.clients_per_domain
    for number, (train, test) in enumerate(
        zip(*_domain_positions(dataset, settings.scheme), strict=True)
    ):
        generator = stream(seed, *address, number)
        clients: list[list[np.ndarray]] = [[] for _ in range(count)]
        for label in range(dataset.n_classes):
            rows = generator.permutation(train[dataset.train_labels[train] == label])
            if count > len(rows):
                raise UserError(
                    f"partition.clients_per_domain: {count} clients for the {len(rows)} training "
                    f"images of {dataset.card['classes'][label]} in "
                    f"{dataset.card['domains'][number]}: lower it"
                )
            shares = generator.dirichlet([settings.alpha] * count)
            bounds = (np.cumsum(shares)[:-1] * len(rows)).astype(np.int64)
            for client, piece in zip(clients, np.split(rows, bounds), strict=True):
                client.append(piece)
        held += [np.concatenate(pieces) for pieces in clients]
        tests += [test] * count
    return held, tests


def _dirichlet(
    dataset: Dataset, settings: DirichletSettings, seed: int, address: tuple[str, ...]
) -> _Parts:
    n = len(dataset.train_labels)
    if settings.clients * settings.min_samples > n:
        raise UserError(
            f"partition.clients: {settings.clients} clients with at least "
            f"{settings.min_samples} images need more than the {n} that {dataset.name} has: "
            "lower clients or min_samples"
        )
    train = _class_lists(dataset.train_labels, dataset.n_classes, seed, *address, "train")
    test = _class_lists(dataset.test_labels, dataset.n_classes, seed, *address, "test")
    generator = stream(seed, *address, "shares")
    for _ in range(_DIRICHLET_DRAWS):
        shares = generator.dirichlet([settings.alpha] * settings.clients, dataset.n_classes)
        # First positions of all clients but the first, per class.
        bounds = np.cumsum(shares, axis=1)[:, :-1]
        parts = [_deal(lists, bounds) for lists in (train, test)]
        # A client without test images would have no score of its own.
        if min(map(len, parts[0])) >= settings.min_samples and min(map(len, parts[1])) >= 1:
            return parts[0], parts[1]
    raise UserError(
        f"partition.min_samples: none of {_DIRICHLET_DRAWS} draws gave each of "
        f"{settings.clients} clients {settings.min_samples} training images and a test image at "
        f"alpha {settings.alpha}: lower min_samples or clients, or raise alpha"
    )


def _deal(lists: list[np.ndarray], bounds: np.ndarray) -> list[np.ndarray]:
    pieces = [
        np.split(positions, (row * len(positions)).astype(np.int64))
        for positions, row in zip(lists, bounds, strict=True)
    ]
    return [np.concatenate(client) for client in zip(*pieces, strict=True)]


def _class_blocks(
    dataset: Dataset, settings: ClassBlocksSettings, seed: int, address: tuple[str, ...]
) -> _Parts:
    size, classes = settings.classes_per_client, dataset.n_classes
    stride = settings.stride or size
    if classes % stride or size > classes:
        key = "stride" if classes % stride and settings.stride else "classes_per_client"
        raise UserError(
            f"partition.{key}: {getattr(settings, key)} does not suit the {classes} classes of "
            f"{dataset.name}: a block holds at most all, and its stride divides their number"
        )
    blocks = [
        [(start + offset) % classes for offset in range(size)]
        for start in range(0, classes, stride)
    ]
    parts = []
    for part, labels in (("train", dataset.train_labels), ("test", dataset.test_labels)):
        held: list[list[np.ndarray]] = [[] for _ in blocks]
        for label in range(classes):
            rows = np.flatnonzero(labels == label)
            holders = [client for client, block in enumerate(blocks) if label in block]
            if part == "test":  # whole for each: local test sets would be tiny otherwise
                shares = [rows] * len(holders)
            else:
                order = stream(seed, *address, label).permutation(len(rows))
                shares = np.array_split(rows[order], len(holders))
            for client, share in zip(holders, shares, strict=True):
                held[client].append(share)
        parts.append([np.concatenate(pieces) for pieces in held])
    return parts[0], parts[1]


_SCHEMES: dict[str, Callable[..., _Parts]] = {
    "fedpac": _fedpac,
    "domain": _domain,
    "domain_shards": _domain_shards,
    "domain_dirichlet": _domain_dirichlet,
    "dirichlet": _dirichlet,
    "class_blocks": _class_blocks,
}
