"""FedLMG's images by client and class: guided ones beside those of other methods, from the same noise."""

from collections.abc import Mapping

import numpy as np

from fedgenbench.images.generated import load_images
from fedgenbench.report.contact import (
    MOST,
    REAL,
    ClientImages,
    ContactSheet,
    Tile,
    real_images,
    spread,
)
from fedgenbench.report.results import Results
from fedgenbench.systems.fedlmg.figures import GUIDANCE
from fedgenbench.systems.fedlmg.numbers import experiments_of, setup, shown_guided

# What is compared most stands together.
FIRST = ("prompts", "main")


def contact_sheets(results: Results) -> list[ContactSheet]:
    """One for each experiment with images; those that only have more clients are left out."""
    crowds = experiments_of(results, "number of clients")
    return [
        _sheet(results, experiment)
        for experiment in experiments_of(results)
        if experiment not in crowds and shown_guided(results, experiment)
    ]


def _sheet(results: Results, experiment: str) -> ContactSheet:
    here, entry = setup(results, experiment), results.experiments[experiment]
    pictures = sorted(shown_guided(results, experiment), key=lambda each: each.name not in FIRST)
    drawn = {GUIDANCE[picture.name]: _first(picture.path) for picture in pictures}
    real = real_images(results, entry["dataset"])
    clients = []
    for client in spread(sorted({client for client, _ in next(iter(drawn.values()))})):
        name = here["names"][client]
        labels = sorted({label for images in drawn.values() for c, label in images if c == client})
        held = {label: here["classes"][label] for label in labels[:MOST]}
        columns = [*([REAL] if any((name, word) in real for word in held.values()) else []), *drawn]
        rows = []
        for label, word in held.items():
            images = {kind: of_kind.get((client, label)) for kind, of_kind in drawn.items()}
            images[REAL] = real.get((name, word))
            rows.append(
                (word, [_tile(images[kind], f"{name}, {word}: {kind}") for kind in columns])
            )
        clients.append(ClientImages(name, columns, rows))
    return ContactSheet(
        f"fedlmg_{experiment}",
        f"{entry['title']}, seed {pictures[0].seed}: for each client and class the server's image by "
        "guidance or method, the first of each, unselected; all but FedDISC's start from the same noise. "
        "Real: a training image of the class in the client's style, where one was kept.",
        clients,
    )


def _first(path: str) -> Mapping[tuple[int, int], np.ndarray]:
    """(Client, label) -> its first image, of a file of shown images."""
    images, labels, clients = load_images(path)
    pairs = zip(clients.tolist(), labels.tolist(), strict=True)
    return {pair: images[row, 0] for row, pair in reversed(list(enumerate(pairs)))}


def _tile(image: np.ndarray | None, words: str) -> Tile | None:
    return None if image is None else Tile(image, words)
