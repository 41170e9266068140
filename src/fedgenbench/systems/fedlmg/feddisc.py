"""FedDISC (arXiv 2305.04063): clients send centroids of their images' features, the server draws from
these with an unCLIP model (sheet §6)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream, torch_seed
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import Partition
from fedgenbench.images.adapters import PRECISIONS, embedded
from fedgenbench.images.loading import load_pipeline
from fedgenbench.images.memory import Batch
from fedgenbench.images.prompts import class_embeddings
from fedgenbench.images.settings import Sampler
from fedgenbench.systems.fedlmg.baseline_settings import FedDISC
from fedgenbench.systems.fedlmg.costs import flops, parameters
from fedgenbench.systems.fedlmg.generation import Generated
from fedgenbench.systems.fedlmg.settings import GuidedImagesSettings

ITERATIONS = 100  # of k-means, at most, as in the authors' code
STARTS = 10  # of k-means, the best of which is kept


@dataclass(frozen=True)
class Order:
    """One image: a class's number, the centroid [D] that it is drawn from, and its noise's seed."""

    client: int
    label: int
    centroid: Tensor
    seed: int


def images(
    contest: GuidedImagesSettings,
    own: FedDISC,
    dataset: Dataset,
    partition: Partition,
    device: Any,
    *,
    seed: int,
    checkpoint: Checkpoint,
    tell: Callable[[int, str], None],
) -> Generated:
    """``contest.per_class`` images for each client and each class that it holds (sheet §6).

    The k-th image of a client and class is drawn from the k-th of its centroids, after the last
    from the first again, under the class's prompt, with ``contest``'s steps and text guidance; model
    and scheduler are those of ``own.base``. The paper's clients have no labels and take those of the
    server's nearest prototype; here they have labels, so nothing is guessed. The authors' server
    also adds a guidance towards another client's mean feature, which would mix the styles that are
    compared here: it is left out.

    All noise of an image depends on ``seed``, client, class and the image's number alone. The report
    has, by client, bytes of its centroids in half precision and their seconds.
    Finished clients and batches are kept in ``checkpoint``; ``tell`` gets the number of images that
    are there.

    Raises:
        UserError: the model cannot be had; a batch in ``checkpoint`` is of another identity; a feature or
            an image is not finite; one image is too much for the GPU.
    """
    pipeline = load_unclip(own.base.source, PRECISIONS[own.base.precision], device)
    prompts = class_embeddings(pipeline, contest.prompt, dataset.card["classes"])
    orders: list[Order] = []
    report: dict[str, Any] = _asked(pipeline, dataset.train_images[:1], len(partition.clients))
    for client, held in enumerate(partition.clients):
        name = f"centroids-{client}"
        found = checkpoint.get(name)
        if found is None:
            started = time.perf_counter()
            batch = Batch(contest.sampler.batch, f"client {client}, embedding its images")
            private = dataset.train_images[held.train]
            labels = dataset.train_labels[held.train]
            sent = upload(own, pipeline, private, labels, (seed, "feddisc", client), batch)
            if not all(np.isfinite(a).all() for a in sent.values()):
                raise UserError(
                    f"client {client}: a feature of its images is not finite in half precision; set "
                    "fedlmg.rivals.feddisc.base.precision to bf16 or fp32"
                )
            found = sent, {"seconds": time.perf_counter() - started, "notes": batch.notes}
            checkpoint.put(name, *found)
        sent, facts = found
        report["upload_bytes"][client] = sum(array.nbytes for array in sent.values())
        report["client_seconds"][client] = facts["seconds"]
        report["notes"] += facts["notes"]
        for label in sorted(map(int, sent)):
            centroids = torch.from_numpy(sent[str(label)])
            for number in range(contest.per_class):
                address = (seed, "feddisc", client, label, number)
                centroid = centroids[number % len(centroids)]
                orders.append(Order(client, label, centroid, torch_seed(*address)))

    batch, parts, seconds = Batch(contest.sampler.batch, "drawing from centroids"), [], 0.0
    for start in range(0, len(orders), contest.sampler.batch):
        name, together = f"batch-{start}", orders[start : start + contest.sampler.batch]
        found = checkpoint.get(name)
        if found is None:
            started = time.perf_counter()

            def some(rows: slice, together: list[Order] = together) -> np.ndarray:
                return draw(
                    own, pipeline, together[rows], prompts, contest.sampler, own.base.resolution
                )

            arrays = {"images": np.concatenate(batch.over(len(together), some))}
            found = arrays, {"seconds": time.perf_counter() - started}
            checkpoint.put(name, *found)
        parts.append(found[0]["images"])
        seconds += found[1]["seconds"]
        tell(sum(map(len, parts)), name)
    report["notes"] += batch.notes
    return Generated(
        images=np.concatenate(parts),
        labels=np.array([order.label for order in orders]),
        style=np.array([order.client for order in orders]),
        report=report | {"seconds_per_image": seconds / len(orders)},
    )


def _asked(pipeline: Any, image: np.ndarray, clients: int) -> dict[str, Any]:
    """The report before any client has worked: operations of embedding one image, and the encoder's
    parameters, which every client is given."""
    counts = {
        "client_flops": flops(lambda: features(pipeline, image, Batch(1, "an image"))),
        "download_parameters": parameters(pipeline.image_encoder),
    }
    same = {name: dict.fromkeys(range(clients), count) for name, count in counts.items()}
    return {"upload_bytes": {}, "client_seconds": {}, "notes": []} | same


@torch.no_grad()
def upload(
    own: FedDISC,
    pipeline: Any,
    private: np.ndarray,
    labels: np.ndarray,
    address: tuple[int, str, int],
    batch: Batch,
) -> dict[str, np.ndarray]:
    """What a client sends: by class, at most ``own.centroids`` centroids float16 [k, D].

    Noise goes on each feature first, on the schedule that the model itself noises features with: the
    client's protection, as in the authors' code.
    """
    found = features(pipeline, private, batch)
    sent = {}
    for label in np.unique(labels).tolist():
        mine = found[torch.from_numpy(labels == label)]
        generator = torch.Generator().manual_seed(torch_seed(*address, label, "protection"))
        noise = torch.randn(mine.shape, generator=generator)
        noised = pipeline.noise_image_embeddings(
            mine.to(pipeline.device), own.client_noise_level, noise.to(pipeline.device)
        )
        protected = noised[:, : mine.shape[1]].cpu().numpy()  # without the level's embedding
        drawn = stream(*address, label, "k-means")
        sent[str(label)] = clustered(protected, own.centroids, drawn).astype(np.float16)
    return sent


@torch.no_grad()
def features(pipeline: Any, private: np.ndarray, batch: Batch) -> Tensor:
    """Embeddings float32 [n, D] of images uint8 [n, H, W, 1 or 3] by the frozen image encoder."""
    coloured = np.broadcast_to(private, (*private.shape[:3], 3))
    encoder = pipeline.image_encoder

    def some(rows: slice) -> Tensor:
        pixels = pipeline.feature_extractor(images=list(coloured[rows]), return_tensors="pt")
        values = pixels.pixel_values.to(encoder.device, encoder.dtype)
        return encoder(values).image_embeds.float().cpu()

    return torch.cat(batch.over(len(private), some))


def clustered(points: np.ndarray, count: int, drawn: np.random.Generator) -> np.ndarray:
    """The ``count`` centroids of k-means on points [n, D], or the points where there are no more."""
    from sklearn.cluster import KMeans

    if len(points) <= count:
        return points
    state = int(drawn.integers(2**32))
    means = KMeans(count, n_init=STARTS, max_iter=ITERATIONS, random_state=state)
    return means.fit(points).cluster_centers_


def draw(
    own: FedDISC,
    pipeline: Any,
    orders: Sequence[Order],
    prompts: Tensor,
    sampler: Sampler,
    resolution: int,
) -> np.ndarray:
    """Images uint8 [n, resolution, resolution, 3], one per order; ``prompts`` [classes, L, D].

    An image's generator gives the noise on its centroid and then that of its latents.
    """
    negative = embedded(pipeline, [""])
    found = pipeline(
        prompt_embeds=prompts[[order.label for order in orders]],
        negative_prompt_embeds=negative.expand(len(orders), -1, -1),
        image_embeds=torch.stack([order.centroid for order in orders]).to(negative),
        noise_level=own.noise_level,
        height=resolution,
        width=resolution,
        num_inference_steps=sampler.steps,
        guidance_scale=sampler.guidance,
        generator=[torch.Generator().manual_seed(order.seed) for order in orders],
        output_type="np",
    ).images
    for order, image in zip(orders, found, strict=True):
        if not np.isfinite(image).all():
            raise UserError(
                f"client {order.client}: an image of class {order.label} is not finite; set "
                "fedlmg.rivals.feddisc.base.precision to bf16 or fp32"
            )
    return (found * 255).round().astype(np.uint8)


def load_unclip(source: str | Path, dtype: torch.dtype, device: Any) -> Any:
    """The ``StableUnCLIPImg2ImgPipeline`` in the folder ``source``, or of the hub id ``source``.

    The miniature (docs/unclip.md) and Stable unCLIP 2.1 take this one way; errors as of
    ``loading.load_pipeline``.
    """
    try:
        return load_pipeline("StableUnCLIPImg2ImgPipeline", source, dtype, device)
    except UserError as error:
        raise UserError(f"fedlmg.rivals.feddisc.base.source: {error}") from error
