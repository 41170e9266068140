"""Images of all clients and classes, kept on disk batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream, torch_seed
from fedgenbench.images.generated import save_images
from fedgenbench.images.guidance import Guided, Order, Trace
from fedgenbench.images.memory import Batch
from fedgenbench.images.uploads import Upload
from fedgenbench.systems.fedlmg.settings import GuidedImagesSettings
from fedgenbench.systems.job import Context


@dataclass(frozen=True)
class Generated:
    """Images uint8 [n, H, W, 3], their labels and clients int64 [n], by client and class, and what
    it took: seconds per image, mean losses per gradient, gradients left out per client, notes.

    ``promised`` uint8 [m, 2, H, W, 3] is what the noise of the first image of each client and class
    promised before and after its editing; none of it without editing.
    """

    images: np.ndarray
    labels: np.ndarray
    style: np.ndarray
    report: dict[str, Any]
    promised: np.ndarray | None = None

    def keep(self, context: Context) -> tuple[dict[str, Any], str]:
        """Writes the output ``images``, and as ``shown`` what pictures show: of the first image of
        each client and class [m, k, H, W, 3], itself and, where noise was edited, what it promised
        before and after. Returns what the job says.
        """
        facts = {"classes": dict(enumerate(context.classes)), "row": context.name}
        save_images(context.outputs["images"], self.images, self.labels, self.style, facts)
        first = first_of_each(self.labels, self.style, 1)
        strips = self.images[first][:, None]
        if self.promised is not None:
            strips = np.concatenate([strips, self.promised], 1)
        shown = context.outputs["shown"]
        save_images(shown, strips, self.labels[first], self.style[first], facts)
        line = f"{len(self.images)}, {self.report['seconds_per_image']:.2f} s each"
        return {"images": len(self.images)} | self.report, line


def first_of_each(labels: np.ndarray, style: np.ndarray, size: int) -> np.ndarray:
    """Rows of the first ``size`` images of each client and class, in order."""
    kept = []
    for client, label in np.unique(np.stack([style, labels], 1), axis=0).tolist():
        kept.append(np.flatnonzero((style == client) & (labels == label))[:size])
    return np.sort(np.concatenate(kept))


def generate(
    settings: GuidedImagesSettings,
    pipeline: Any,
    uploads: Sequence[Upload],
    embeddings: Any,
    *,
    seed: int,
    checkpoint: Checkpoint,
    tell: Callable[[int, str], None],
) -> Generated:
    """Images for each client and each class that it holds (sheet §3), as many as ``dealt`` says.

    ``embeddings`` [classes, L, D] are of the classes' prompts. The noise of an image depends on
    ``seed``, client, class and the image's number alone: rows of an ablation start from the same.
    ``checkpoint``, ``tell`` and errors as of ``draw``.
    """
    guided = Guided(pipeline, settings.guidance, settings.sampler.steps, settings.sampler.guidance)
    shards = [
        [
            Order(
                upload.client,
                label,
                embeddings[label],
                noise_seed(seed, upload.client, label, number),
                upload,
            )
            for number in range(count)
        ]
        for upload, counts in zip(uploads, dealt(settings, uploads, seed), strict=True)
        for label, count in counts.items()
    ]
    return draw(settings, guided, shards, checkpoint, tell)


def dealt(
    settings: GuidedImagesSettings, uploads: Sequence[Upload], seed: int
) -> list[dict[int, int]]:
    """By upload: class -> number of images, where there is one.

    ``per_class`` for each class that a client holds; or ``total_per_class`` of a class, spread evenly
    over the clients that hold it: those that draw one more than others are drawn by lot.
    """
    if settings.total_per_class is None:
        return [dict.fromkeys(upload.classes, settings.per_class) for upload in uploads]
    counts: list[dict[int, int]] = [{} for _ in uploads]
    for label in sorted({label for upload in uploads for label in upload.classes}):
        holders = [n for n, upload in enumerate(uploads) if label in upload.classes]
        each, left = divmod(settings.total_per_class, len(holders))
        more = set(stream(seed, "fedlmg", "dealt", label).permutation(holders)[:left].tolist())
        for n in holders:
            if each or n in more:
                counts[n][label] = each + (n in more)
    return counts


def noise_seed(seed: int, client: int, label: int, number: int) -> int:
    """Of an image's noise: the same under every guidance, and for rivals on the same model."""
    return torch_seed(seed, "fedlmg", client, label, number)


def draw(
    settings: GuidedImagesSettings,
    guided: Guided,
    shards: Sequence[list[Order]],
    store: Checkpoint,
    tell: Callable[[int, str], None],
) -> Generated:
    """The images of ``shards``, each a list for one client and class.

    Every batch goes to ``store`` when it is done and is taken as it is the next time. ``tell`` gets
    the number of images that are there.

    Raises:
        UserError: a batch in ``store`` is of another identity; an image is not finite; too many
            gradients of a client are not; one image is too much for the GPU.
    """
    batch = Batch(settings.sampler.batch, "drawing guided images")
    parts, promised, traces, seconds = [], [], [], 0.0
    for number, orders in enumerate(_groups(shards, settings.sampler.batch)):
        name = f"batch-{number}"
        found = store.get(name)
        if found is None:
            started = time.perf_counter()
            seen: list[Trace] = []

            def some(rows: slice, orders: list[Order] = orders, seen: list = seen) -> np.ndarray:
                images, trace = guided.draw(orders[rows], settings.base.resolution)
                seen.append(trace)
                return images.numpy()

            drawn = batch.over(len(orders), some)
            facts: dict[str, Any] = {
                "traces": [_facts(*each) for each in zip(drawn, seen, strict=True)]
            }
            facts["seconds"] = time.perf_counter() - started
            _require_finite(facts["traces"], settings.guidance.skipped_share)
            found = {"images": np.concatenate(drawn)} | _promises(seen), facts
            store.put(name, *found)
        arrays, facts = found
        parts.append(arrays["images"])
        promised += [arrays["promised"]] if "promised" in arrays else []
        traces += facts["traces"]
        seconds += facts["seconds"]
        tell(sum(map(len, parts)), name)
    orders = [order for shard in shards for order in shard]
    first = np.cumsum([0, *map(len, shards[:-1])])
    return Generated(
        images=np.concatenate(parts),
        labels=np.array([order.label for order in orders]),
        style=np.array([order.client for order in orders]),
        report={
            "seconds_per_image": seconds / len(orders),
            "cross_entropy": _mean(traces, "cross_entropy"),
            "batch_norm": _mean(traces, "batch_norm"),
            "skipped": _total(traces, "skipped"),
            "gradients": _total(traces, "steps"),
            "notes": batch.notes,
        },
        promised=np.concatenate(promised)[first] if promised else None,
    )


def _facts(images: np.ndarray, trace: Trace) -> dict[str, Any]:
    """The numbers of a trace, for JSON."""
    numbers = ("cross_entropy", "batch_norm", "skipped", "steps")
    return {name: getattr(trace, name) for name in numbers} | {"images": len(images)}


def _promises(seen: Sequence[Trace]) -> dict[str, np.ndarray]:
    """What noise promised before and after its editing [n, 2, H, W, 3], if it was edited."""
    if not all(trace.promised for trace in seen):
        return {}
    pairs = [np.stack([part.numpy() for part in trace.promised], 1) for trace in seen]
    return {"promised": np.concatenate(pairs)}


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
