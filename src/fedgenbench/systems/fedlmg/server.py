"""The server's models, from guided images, and the rows that stand beside them (sheet §3, §6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fedgenbench.core.answers import packed, shares
from fedgenbench.data.answers import answers
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import Partition
from fedgenbench.federated.synthetic import Synthetic, read
from fedgenbench.images.uploads import Upload
from fedgenbench.systems.fedlmg.clients import tensors
from fedgenbench.systems.fedlmg.generation import first_of_each
from fedgenbench.systems.fedlmg.settings import UNSEEN, VARIED, Server
from fedgenbench.systems.fedlmg.similarity import apart, likeness
from fedgenbench.systems.fedlmg.training import (
    Loss,
    distilled,
    features,
    fine_tuning,
    of_specific_teacher,
    probabilities,
    right_answers,
    scored,
    train,
)
from fedgenbench.systems.fedlmg.uploads import load, noised, untrained
from fedgenbench.systems.job import Context


@dataclass(frozen=True)
class Images:
    """What the server trains on: guided images, and those of prompts and rivals beside baselines."""

    guided: Synthetic
    prompts: Synthetic | None = None
    rivals: Mapping[str, Synthetic] = field(default_factory=dict)


def planned(settings: Mapping[str, Any], baselines: bool) -> list[str]:
    """The rows that ``serve`` gives, in order."""
    sizes = settings["sizes"]
    rows = [*settings["ways"], *(f"{way}@{size}" for size in sizes for way in VARIED)]
    if baselines:
        rows += ["prompts", *(f"prompts@{size}" for size in sizes), *settings["rivals"]]
        rows += ["ceiling", "ceiling_head"]
    return rows + [*UNSEEN] * settings["unseen_domains"]


def run(context: Context) -> tuple[dict[str, Any], str]:
    """Says how accurate each of the server's models is on every client's test images."""
    settings, dataset, inputs = context.settings, context.dataset, context.inputs
    prompts, names = inputs["prompts"], settings["rivals"]
    (models,) = inputs["models"]
    uploads = [
        noised(upload, settings["upload_noise"], context.seed)
        for upload in load(models, dataset.n_classes).values()
    ]
    rivals = {n: read([path], dataset) for n, path in zip(names, inputs["rivals"], strict=True)}
    trainer = Trainer(settings, dataset, context.partition, context.device)
    guided = read(inputs["images"], dataset)
    images = Images(guided, read(prompts, dataset) if prompts else None, rivals)
    tell = context.progress(len(planned(settings, bool(prompts))))
    rows, near = serve(trainer, uploads, images, tell=tell)
    if settings["unseen_domains"]:
        rows |= unseen(trainer, uploads, guided)
    means = {row: sum(each["accuracy"]) / len(each["accuracy"]) for row, each in rows.items()}
    line = ", ".join(f"{row} {100 * value:.1f}" for row, value in means.items())
    said = answers({row: each.pop("answers") for row, each in rows.items()}, context.partition)
    return {"name": context.name, "rows": rows, "likeness": near} | said, line


@dataclass(frozen=True)
class Trainer:
    """Trains and scores the models of one repetition: all start from the same weights."""

    settings: Mapping[str, Any]
    dataset: Dataset
    partition: Partition
    device: Any

    @cached_property
    def training(self) -> Server:
        return Server.model_validate(self.settings["server"])

    @cached_property
    def test(self) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Images, labels, and the rows of each client."""
        dataset = self.dataset
        x, y = self.tensors(dataset.test_images, dataset.test_labels)
        return x, y, [torch.from_numpy(own.test).to(self.device) for own in self.partition.clients]

    def tensors(self, images: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        return tensors(images, labels, dict(self.settings), self.device)

    def passes_over(self, guided: Synthetic) -> int:
        """Images that a row's training sees in all: its epochs over all that the uploads ask for, even
        where an ablation has fewer."""
        settings = self.settings
        if settings["total_per_class"]:
            count = settings["total_per_class"] * len(np.unique(guided.labels))
        else:
            pairs = np.unique(np.stack([guided.style, guided.labels], 1), axis=0)
            count = settings["per_class"] * len(pairs)
        return self.training.epochs * count

    def fitted(
        self, row: str, x: Tensor, y: Tensor, loss: Loss, epochs: int, head: bool | None = None
    ) -> tuple[nn.Module, dict[str, Any]]:
        """A model that was trained on ``x`` and ``y``, and what is said of it."""
        settings, training = self.settings, self.training.model_copy(update={"epochs": epochs})
        seed, shape = settings["seed"], tuple(x.shape[1:])
        classes, imagenet = self.dataset.n_classes, settings["imagenet"]
        model = untrained(training.model, shape, classes, seed, imagenet).to(self.device)
        losses = train(
            training,
            model,
            x,
            y,
            loss,
            # The order of the images is the same for all ways of one set.
            address=(seed, "fedlmg", "server", len(x)),
            who=f"the server ({row})",
            head_alone=training.trains == "head" if head is None else head,
        )
        said = scored(model, *self.test)
        return model, said | {"losses": losses, "images": len(x), "epochs": epochs}


def serve(
    server: Trainer,
    uploads: Iterable[Upload],
    images: Images,
    *,
    tell: Callable[[int, str], None],
) -> tuple[dict[str, dict[str, Any]], list[dict[str, float]]]:
    """By row: accuracy by client, packed answers, mean loss per epoch, number of images and of epochs.

    The ways of FedLMG on the guided images (also on the first ``sizes`` of each client and class), FT
    on images of prompts alone (also on the first of these) and on those of each of the rivals, and the
    ceiling on all clients' training images (also its head alone, the sheet's calibration, §8). Rows
    of synthetic images take equally many steps, however few their images: ``epochs`` passes over
    ``per_class`` for each client and class that it holds. And, where there are images of prompts,
    what ``likeness`` and ``apart`` find by client in the features of the ceiling.
    """
    settings, clients = server.settings, sorted(uploads, key=lambda upload: upload.client)
    teachers = [upload.frozen(server.device).model for upload in clients]
    rows: dict[str, dict[str, Any]] = {}
    guided, prompts = images.guided, images.prompts
    seen_in_all = server.passes_over(guided)

    def fit(row: str, x: Tensor, y: Tensor, loss: Loss, **more: Any) -> nn.Module:
        epochs = max(1, round(seen_in_all / len(x)))
        model, rows[row] = server.fitted(row, x, y, loss, **{"epochs": epochs} | more)
        tell(len(rows), f"{row} {100 * np.mean(rows[row]['accuracy']):.1f} %")
        return model

    x, y = server.tensors(guided.images, guided.labels)
    outputs = probabilities(teachers, x)
    taught = {
        "fedlmg_md": outputs.mean(0),
        "fedlmg_sd": of_specific_teacher(outputs, torch.from_numpy(guided.style).to(x.device)),
    }
    for size in (None, *settings["sizes"]):
        first = _first(guided, size).to(x.device)
        for way in settings["ways"] if size is None else VARIED:
            loss = distilled(taught[way][first]) if way in taught else fine_tuning
            fit(way if size is None else f"{way}@{size}", x[first], y[first], loss)
    if prompts is None:
        return rows, []
    x, y = server.tensors(prompts.images, prompts.labels)
    for size in (None, *settings["sizes"]):
        first = _first(prompts, size).to(x.device)
        fit("prompts" if size is None else f"prompts@{size}", x[first], y[first], fine_tuning)
    for name, drawn in images.rivals.items():
        fit(name, *server.tensors(drawn.images, drawn.labels), fine_tuning)
    x, y = server.tensors(server.dataset.train_images, server.dataset.train_labels)
    held = torch.from_numpy(np.concatenate([each.train for each in server.partition.clients]))
    x, y = x[held.to(x.device)], y[held.to(x.device)]
    whole = {"epochs": server.training.epochs}
    ceiling = fit("ceiling", x, y, fine_tuning, **whole)
    fit("ceiling_head", x, y, fine_tuning, head=True, **whole)

    def seen(shown: np.ndarray) -> Tensor:
        x, _ = server.tensors(shown, np.zeros(len(shown), np.int64))
        return features(ceiling, x).cpu()

    places = server.dataset, server.partition, guided, prompts, seen
    near = zip(likeness(*places), apart(*places, seed=settings["seed"]), strict=True)
    return rows, [one | other for one, other in near]


def unseen(
    server: Trainer, uploads: Iterable[Upload], guided: Synthetic
) -> dict[str, dict[str, Any]]:
    """What the uploads of all others make of a client's domain, by row, as ``serve`` has it.

    ``unseen_sd``: for each client a server's model of the images that the others guided, by the specific
    teacher and in as many steps, on this client's test images. ``unseen_ensemble``: the mean of the
    others' classifiers themselves, without any image.
    """
    clients = sorted(uploads, key=lambda upload: upload.client)
    teachers = [upload.frozen(server.device).model for upload in clients]
    x, y = server.tensors(guided.images, guided.labels)
    style = torch.from_numpy(guided.style).to(x.device)
    taught = of_specific_teacher(probabilities(teachers, x), style)
    x_test, y_test, tests = server.test
    said = probabilities(teachers, x_test)
    right: dict[str, list[Tensor]] = {row: [] for row in UNSEEN}
    for client, test in enumerate(tests):
        kept, others = style != client, [n for n in range(len(teachers)) if n != client]
        ensemble = said[others].mean(0).argmax(1) == y_test
        right["unseen_ensemble"].append(ensemble[test].cpu())
        epochs = max(1, round(server.passes_over(guided) / int(kept.sum())))
        model, _ = server.fitted(
            f"without client {client}", x[kept], y[kept], distilled(taught[kept]), epochs
        )
        right["unseen_sd"] += right_answers(model, x_test, y_test, [test])
    return {
        row: {"accuracy": shares(each), "answers": packed(each), "losses": [], "images": images}
        for (row, each), images in zip(right.items(), (0, len(x)), strict=True)
    }


def _first(synthetic: Synthetic, size: int | None) -> Tensor:
    """Rows of the first ``size`` images of each client and class; of all of them."""
    if size is None:
        return torch.arange(len(synthetic.labels))
    return torch.from_numpy(first_of_each(synthetic.labels, synthetic.style, size))
