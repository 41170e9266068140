"""The guided images of all clients, kept on disk batch by batch."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fedgenbench.diffusion.guidance import Guided, Order, Trace, Upload
from fedgenbench.diffusion.memory import Batch
from fedgenbench.errors import UserError
from fedgenbench.fedlmg.settings import Drawn
from fedgenbench.rng import torch_seed
from fedgenbench.runtime.files import atomic_path


@dataclass(frozen=True)
class Generated:
    """Images uint8 [n, H, W, 3], their labels and clients int64 [n], by client and class, and what
    it took: seconds per image, mean losses per gradient, gradients left out per client, notes."""

    images: np.ndarray
    labels: np.ndarray
    style: np.ndarray
    report: dict[str, Any]


def generate(
    settings: Drawn,
    pipeline: Any,
    uploads: Sequence[Upload],
    embeddings: Any,
    *,
    seed: int,
    folder: Path,
    identity: str,
    tell: Callable[[int, str], None],
) -> Generated:
    """``settings.per_class`` images for each client and each class that it holds (sheet §3).

    ``embeddings`` [classes, L, D] are of the classes' prompts. The noise of an image depends on
    ``seed``, client, class and the image's number alone: rows of an ablation start from the same.
    Every batch goes to ``folder`` when it is done and is taken as it is the next time; ``identity``
    names all that decides the images. ``tell`` gets the number of images that are there.

    Raises:
        UserError: a batch in ``folder`` is of another ``identity``; an image is not finite; too many
            gradients of a client are not; one image is too much for the GPU.
    """
    guided = Guided(pipeline, settings.guidance, settings.sampler.steps, settings.sampler.guidance)
    shards = [
        [
            Order(upload, label, embeddings[label], _seed(seed, upload.client, label, number))
            for number in range(settings.per_class)
        ]
        for upload in uploads
        for label in upload.classes
    ]
    batch = Batch(settings.sampler.batch, "drawing guided images")
    parts, traces, seconds = [], [], 0.0
    for number, orders in enumerate(_groups(shards, settings.sampler.batch)):
        path = folder / f"batch-{number}.safetensors"
        found = _read(path, identity) if path.exists() else None
        if found is None:
            started = time.perf_counter()
            drawn: list[tuple[np.ndarray, Trace]] = []

            def some(rows: slice, orders: list[Order] = orders, drawn: list = drawn) -> np.ndarray:
                images, trace = guided.draw(orders[rows], settings.base.resolution)
                drawn.append((images.numpy(), trace))
                return drawn[-1][0]

            images = np.concatenate(batch.over(len(orders), some))
            found = images, [asdict(trace) | {"images": len(i)} for i, trace in drawn]
            found = (*found, time.perf_counter() - started)
            _require_finite(found[1], settings.guidance.skipped_share)
            _write(path, identity, *found)
        parts.append(found[0])
        traces += found[1]
        seconds += found[2]
        tell(sum(map(len, parts)), path.stem)
    orders = [order for shard in shards for order in shard]
    return Generated(
        images=np.concatenate(parts),
        labels=np.array([order.label for order in orders]),
        style=np.array([order.upload.client for order in orders]),
        report={
            "seconds_per_image": seconds / len(orders),
            "cross_entropy": _mean(traces, "cross_entropy"),
            "batch_norm": _mean(traces, "batch_norm"),
            "skipped": _total(traces, "skipped"),
            "gradients": _total(traces, "steps"),
            "notes": batch.notes,
        },
    )


def _seed(seed: int, client: int, label: int, number: int) -> int:
    return torch_seed(seed, "fedlmg", client, label, number)


def _groups(shards: Sequence[list[Order]], size: int) -> Iterator[list[Order]]:
    """Whole shards together, as many as a batch takes, at least one. What is on disk does not count,
    so the batches of a resumed job are those of an unbroken one."""
    group: list[Order] = []
    for shard in shards:
        if group and len(group) + len(shard) > size:
            yield group
            group = []
        group = group + shard
    yield group


def _require_finite(traces: list[dict[str, Any]], share: float) -> None:
    skipped, steps = _total(traces, "skipped"), _total(traces, "steps")
    for client, count in skipped.items():
        if count > share * steps[client]:
            raise UserError(
                f"client {client}: {count} of {steps[client]} gradients of its classifier were not "
                "finite, more than fedlmg.guidance.skipped_share allows; set fedlmg.base.precision "
                "to bf16 or fp32, or look at the client's training"
            )


def _total(traces: list[dict[str, Any]], name: str) -> dict[int, int]:
    """Sums by client; JSON has made the clients' numbers strings."""
    totals: dict[int, int] = {}
    for trace in traces:
        for client, count in trace[name].items():
            totals[int(client)] = totals.get(int(client), 0) + count
    return totals


def _mean(traces: list[dict[str, Any]], name: str) -> list[float]:
    """The mean over images of what was seen at each gradient."""
    weights = [trace["images"] for trace in traces]
    return np.average([trace[name] for trace in traces], axis=0, weights=weights).tolist()


def _write(
    path: Path, identity: str, images: np.ndarray, traces: list[dict[str, Any]], seconds: float
) -> None:
    from safetensors.numpy import save_file

    facts = {"identity": identity, "traces": traces, "seconds": seconds, "sha256": _sha256(images)}
    with atomic_path(path) as temporary:
        save_file({"images": images}, temporary, {"batch": json.dumps(facts)})


def _read(path: Path, identity: str) -> tuple[np.ndarray, list[dict[str, Any]], float] | None:
    """Images, traces and seconds, or None of a damaged file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            images, facts = file.get_tensor("images"), json.loads(file.metadata()["batch"])
    except (SafetensorError, KeyError, TypeError, ValueError):
        return None
    if facts["identity"] != identity:
        raise UserError(
            f"{path} belongs to {facts['identity']}, not to {identity}: delete {path.parent}"
        )
    if facts["sha256"] != _sha256(images):
        return None
    return images, facts["traces"], facts["seconds"]


def _sha256(images: np.ndarray) -> str:
    return hashlib.sha256(images.tobytes()).hexdigest()
