"""Adapters of other ranks, and one that knows its images by heart: what adapters can do and betray.

A membership attack that finds nothing says something only where it finds what is there to find. So an
adapter is tuned beside on a few of a client's images, for long, and meets the same attack.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from fedgenbench.core.streams import stream, torch_seed
from fedgenbench.images.adapters import Adapter, attached, base_model
from fedgenbench.images.draw import Shard, draw
from fedgenbench.images.lora import prepared, tune
from fedgenbench.images.measures import copied_share, nearest
from fedgenbench.images.prompts import class_embeddings
from fedgenbench.images.settings import Lora
from fedgenbench.systems.job import Context
from fedgenbench.systems.warmfed.examination import Part
from fedgenbench.systems.warmfed.membership import attack, both_sides, denoising_losses, latents_of
from fedgenbench.systems.warmfed.settings import TrialSettings


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Says of each adapter how far it lowers the loss of images that it saw and of others, and what the
    attack finds; of three of them how near their images come to the memorised ones."""
    bench = Bench(context, TrialSettings.model_validate(context.settings["synthesis"]))
    (path,) = context.inputs["adapter"]
    usual, trials = Adapter.load(path), bench.settings.trials
    adapters = {bench.settings.lora.rank: usual}
    for rank in (each for each in trials.ranks if each != usual.rank):
        adapters[rank] = bench.tuned(f"rank-{rank}", bench.real, of_rank(bench.settings.lora, rank))
    rows = {
        f"rank_{rank}": bench.judged(adapter, bench.real)
        for rank, adapter in sorted(adapters.items())
    }
    few = some_of_each(bench.real, trials.memorised.per_class, context.seed)
    longer = of_rank(bench.settings.lora, trials.memorised.rank).model_copy(
        update={
            "steps": trials.memorised.steps,
            "lr": trials.memorised.lr,
            "batch_size": len(few.labels),
        }
    )
    memorised = bench.tuned("memorised", few, longer)
    rows["memorised"] = bench.judged(memorised, few)
    near = {"memorised": memorised, f"rank_{bench.settings.lora.rank}": usual, "base": None}
    for row, adapter in near.items():
        rows[row] = rows.get(row, {}) | bench.reconstructed(row, adapter, few)
    found = ", ".join(f"{row} {v['auc']:.2f}" for row, v in rows.items() if "auc" in v)
    return {"client": trials.client, "rows": rows}, f"areas of the attack: {found}"


def of_rank(lora: Lora, rank: int) -> Lora:
    """The same tuning at another rank; the product is scaled alike, by alpha / rank."""
    return lora.model_copy(update={"rank": rank, "alpha": lora.alpha / lora.rank * rank})


def some_of_each(part: Part, count: int, seed: int) -> Part:
    """``count`` images of each class, drawn by lot."""
    order = stream(seed, "trials", "memorised").permutation(len(part.labels))
    rows = [order[part.labels[order] == label][:count] for label in np.unique(part.labels)]
    kept = np.concatenate(rows)
    return Part(part.images[kept], part.labels[kept])


@dataclass(frozen=True)
class Bench:
    """One client's images, and the model beside which its adapters stand."""

    context: Context
    settings: TrialSettings

    @cached_property
    def pipeline(self) -> Any:
        return base_model(self.settings.base, self.context.device)

    @cached_property
    def embeddings(self) -> Tensor:
        """Of the classes' prompts [classes, L, D]."""
        classes = self.context.dataset.card["classes"]
        return class_embeddings(self.pipeline, self.settings.prompt, classes)

    @cached_property
    def real(self) -> Part:
        """The client's training images at the model's size."""
        data, own = self.context.dataset, self._own.train
        return Part(self._sized(data.train_images[own]), data.train_labels[own])

    @cached_property
    def held_out(self) -> Part:
        """Its test images: no adapter saw them."""
        data, own = self.context.dataset, self._own.test
        return Part(self._sized(data.test_images[own]), data.test_labels[own])

    @property
    def _own(self) -> Any:
        return self.context.partition.clients[self.settings.trials.client]

    def _sized(self, images: np.ndarray) -> np.ndarray:
        return prepared(images, self.settings.base.resolution)

    def tuned(self, name: str, part: Part, lora: Lora) -> Adapter:
        """An adapter of these images. All ranks meet the same batches, times and noises."""
        adapter, _, _ = tune(
            lora,
            self.pipeline,
            part.images,
            part.labels,
            self.embeddings,
            seed=self.context.seed,
            client=self.settings.trials.client,
            checkpoint=self.context.checkpoint.below(name),
            tell=self.context.progress(lora.steps),
        )
        return adapter

    def judged(self, adapter: Adapter, seen: Part) -> dict[str, float]:
        """The adapter's size; by how much of the base model's it lowers the loss of images that it saw
        and of the client's others, equally many of each class; and the attack's area."""
        settings, seed = self.settings, self.context.seed
        address = (seed, "trials", "attack", len(seen.labels))
        most = settings.examine.members
        images, labels, members = both_sides(seen, self.held_out, most, stream(*address))
        latents = latents_of(self.pipeline, images)
        noise = torch_seed(seed, "trials", "denoising")

        def losses(adapter: Adapter | None) -> np.ndarray:
            with attached(self.pipeline, adapter):
                context = self.embeddings[labels]
                draws = settings.examine.draws
                return denoising_losses(self.pipeline, latents, context, draws, noise)

        base, own = losses(None), losses(adapter)
        fall, shares = base - own, {}
        for name, part in (("seen", slice(members)), ("held_out", slice(members, None))):
            shares[f"fall_{name}"] = float(fall[part].mean() / base[part].mean())
        return {
            "images": len(seen.labels),
            "bytes": adapter.adapter_bytes,
            **shares,
            **attack(fall[:members], fall[members:]),
        }

    def reconstructed(self, name: str, adapter: Adapter | None, few: Part) -> dict[str, float]:
        """How near images drawn for the classes of ``few`` come to these: the median distance to the
        nearest, and the share that is nearer than 5 % of the held-out images are."""
        settings, seed = self.settings, self.context.seed
        shards = [
            Shard(
                name=f"class-{label}",
                label=int(label),
                style=settings.trials.client,
                embedding=self.embeddings[label],
                seeds=[
                    torch_seed(seed, "trials", "noise", int(label), number)
                    for number in range(settings.trials.memorised.drawn)
                ],
            )
            for label in np.unique(few.labels)
        ]
        with attached(self.pipeline, adapter):
            drawn = draw(
                self.pipeline,
                shards,
                settings.sampler,
                settings.base.resolution,
                checkpoint=self.context.checkpoint.below(f"drawn-{name}"),
                tell=self.context.progress(len(shards) * settings.trials.memorised.drawn),
            )
        return {
            "distance": float(np.median(nearest(drawn.images, few.images)[0])),
            "copied": copied_share(drawn.images, self.held_out.images, few.images),
        }
