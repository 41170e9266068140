"""How near the guided images are to a client's: in distribution, and one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import Partition
from fedgenbench.federated.synthetic import Synthetic
from fedgenbench.images.distances import kernel_distance
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
