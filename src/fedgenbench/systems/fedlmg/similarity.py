"""How near the guided images are to a client's: in distribution, and one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from fedgenbench.core.streams import stream
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import Partition
from fedgenbench.federated.synthetic import Synthetic
from fedgenbench.images.distances import frechet_distance, kernel_distance
from fedgenbench.images.lora import prepared
from fedgenbench.images.measures import nearest

EDGE = 64  # pixels, at most, at which images are compared one by one


def likeness(
    dataset: Dataset,
    partition: Partition,
    guided: Synthetic,
    prompts: Synthetic,
    features: Callable[[np.ndarray], Tensor],
) -> list[dict[str, float]]:
    """By client, for its guided images, those of prompts from the same noise, and its test images:

    ``<set>_distance``, the kernel distance of ``features`` [n, F] to its training images; and
    ``<set>_nearest``, the median over images of the root mean squared distance of pixels, in [0, 1], to
    the nearest training image; ``<set>_copied``, the share that is nearer than 5 % of the test images
    are. Test images are the reference: nobody trained on them.
    """
    edge = min(EDGE, dataset.train_images.shape[1])
    found = []
    for client, rows in enumerate(partition.clients):
        own = dataset.train_images[rows.train]
        sets = {
            "guided": guided.images[guided.style == client],
            "prompts": prompts.images[prompts.style == client],
            "held_out": dataset.test_images[rows.test],
        }
        known, small = features(own), prepared(own, edge)
        lowest = {name: nearest(prepared(part, edge), small)[0] for name, part in sets.items()}
        limit = np.quantile(lowest["held_out"], 0.05)
        values = {}
        for name, part in sets.items():
            values[f"{name}_distance"] = kernel_distance(features(part), known)
            values[f"{name}_nearest"] = float(np.median(lowest[name]))
            values[f"{name}_copied"] = float((lowest[name] < limit).mean())
        found.append(values)
    return found


def apart(
    dataset: Dataset,
    partition: Partition,
    guided: Synthetic,
    prompts: Synthetic,
    features: Callable[[np.ndarray], Tensor],
    *,
    seed: int,
) -> list[dict[str, float]]:
    """By client, Fréchet distances to one half of its training images (the paper's Table 10):

    of the other half, of its guided images, of those of prompts, and of the nearest other client's
    training images. The distance is biased by the size of sets, so all have as many images, drawn at
    random where there are more.
    """
    held = [client.train for client in partition.clients]
    known = features(dataset.train_images[np.concatenate(held)])
    real = [
        part[stream(seed, "fedlmg", "halves", client).permutation(len(part))]
        for client, part in enumerate(known.split([len(rows) for rows in held]))
    ]
    drawn = {"guided": guided, "prompts": prompts}
    found: list[dict[str, float]] = []
    for client, own in enumerate(real):
        sets = {name: features(part.images[part.style == client]) for name, part in drawn.items()}
        count = min(len(own) // 2, *(len(part) for part in sets.values()))
        sets["half"] = own[count:]
        values = {}
        if count > 1:
            near = {
                name: frechet_distance(part[:count], own[:count]) for name, part in sets.items()
            }
            values = {f"{name}_frechet": value for name, value in near.items()}
            others = [each[:count] for each in real if each is not own and len(each) >= count]
            if others:
                values["others_frechet"] = min(frechet_distance(o, own[:count]) for o in others)
        found.append(values)
    return found
