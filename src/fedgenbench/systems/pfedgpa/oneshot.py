"""The one-shot study: what the server's generator makes of saved uploads, away from the rounds.

Three steps: ``uploads`` plays the federation without generation, ``fit`` learns a generator from what
was uploaded, ``aggregate`` generates with it in many ways (papers/pfedgpa.md §8, rows 17 and 21, and
the diagnostics below them). All are pure functions of their arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from fedgenbench.core import artifacts
from fedgenbench.core.answers import packed, shares
from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.files import sha256_file
from fedgenbench.data.answers import answers
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import Partition
from fedgenbench.federated.run import data_of, federation
from fedgenbench.federated.server import finite_faults, weighted_mean
from fedgenbench.federated.types import State
from fedgenbench.systems.pfedgpa.buffer import ReplayBuffer
from fedgenbench.systems.pfedgpa.clients import Clients
from fedgenbench.systems.pfedgpa.diagnostics import movement, nearness, noised, overlap
from fedgenbench.systems.pfedgpa.generator import Generator
from fedgenbench.systems.pfedgpa.method import PFedGPA
from fedgenbench.systems.pfedgpa.settings import GeneratorSettings

KIND = "weights"
# Settings that a fitted generator does not depend on.
NOT_FITTED = {"rule", "eta", "inversion_steps", "start", "reconstruction"}


def uploads(
    settings: dict[str, Any],
    dataset: Dataset,
    partition: Partition,
    device: str,
    *,
    checkpoint: Checkpoint | None,
    progress: Callable[[int, str], None],
) -> tuple[State, dict[str, Any]]:
    """Plays pfedgpa's run with every client's own upload in place of generated weights.

    Returns the tensors to save: the server's ``buffer/…`` and mean ``model/…``, and ``others/…``
    [N, ...], what is not generated of the clients' last models; and, for the metrics, the
    accuracies and answers of these models.

    Raises:
        UserError: a client took part in no round.
    """
    own = settings | {
        "method_settings": settings["method_settings"] | {"generation": "own"},
        "evaluate_every": settings["rounds"],
    }
    data = data_of(settings, dataset, partition, device)
    run = federation(own, data, dataset.n_classes, checkpoint=checkpoint)
    run.run(lambda round_, entry: progress(round_, ""))
    everybody = list(range(len(data.train)))
    buffer = run.server["buffer"]
    if silent := sorted(set(everybody) - set(buffer["clients"].tolist())):
        raise UserError(
            f"client {silent[0]} took part in no round, so it has no upload: raise participation or "
            "rounds"
        )
    generated = cast(PFedGPA, run.method).layout.pattern
    others = {name: t for name, t in run.clients["model"].items() if name not in generated}
    parts = {"buffer": buffer, "model": run.server["model"], "others": others}
    clients = Clients(run.method, data, own, everybody)
    models = run.clients["model"]
    right = clients.right(models)
    said = {"accuracy": {"train": clients.accuracy(models, "train"), "test": shares(right)}}
    said |= answers({"uploads": packed(right)}, partition, own["score_on"])
    return {f"{part}/{name}": t for part, s in parts.items() for name, t in s.items()}, said


class Study:
    """The clients of an experiment with their last uploads.

    ``vectors`` [N, D] are these uploads, ``own`` [N, ...] the whole models they are of.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        dataset: Dataset,
        partition: Partition,
        path: Path,
        device: str,
    ):
        data = data_of(settings, dataset, partition, device)
        self.method = federation(settings, data, dataset.n_classes).method
        self.layout, self.seed = cast(PFedGPA, self.method).layout, settings["seed"]
        self.settings: GeneratorSettings = self.method.settings
        self.partition, self.next_round = partition, settings["rounds"] + 1
        self.sizes = torch.tensor([len(rows) for rows in data.train], dtype=torch.float64)
        self.clients = Clients(self.method, data, settings, list(range(len(data.train))))

        tensors, _ = read(path, device)
        parts: dict[str, State] = {"buffer": {}, "model": {}, "others": {}}
        for key, tensor in tensors.items():
            part, _, name = key.partition("/")
            parts.setdefault(part, {})[name] = tensor
        if parts.keys() != {"buffer", "model", "others"} or len(parts["buffer"]) != 3:
            raise UserError(f"{path} does not hold uploads: delete it and run its job again")
        try:
            self.buffer = ReplayBuffer.load(self.layout, self.settings.buffer, parts["buffer"])
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        bad = ~self.buffer.vectors.isfinite().all(1)
        faults = [*self.buffer.clients[bad.cpu()].tolist(), *finite_faults({"": parts["others"]})]
        if faults:
            raise UserError(
                f"{path}: an upload of client {faults[0]} has a value that is not finite"
            )
        _require_finite(path, parts["model"])
        self.vectors, present = self.buffer.latest()
        if present != self.clients.ids:
            raise UserError(
                f"{path} holds uploads of {len(present)} clients, the partition has "
                f"{len(self.clients.ids)}: delete it and run its job again"
            )
        self.own = parts["others"] | self.layout.restore(self.vectors)
        shared = {n: t for n, t in parts["model"].items() if self.method.shares(n)}
        self.mean = {name: t.expand_as(self.own[name]) for name, t in shared.items()}
        # What a fitted generator depends on.
        self.fitted = {
            "seed": self.seed,
            "uploads": sha256_file(path),
            **{
                name: self.settings.model_dump(mode="json")[name]
                for name in sorted(GeneratorSettings.model_fields.keys() - NOT_FITTED)
            },
        }

    def received(self, vectors: Tensor) -> State:
        """The models [N, ...] that clients receive with the generated ``vectors`` [N, D]."""
        return self.own | self.mean | self.layout.restore(vectors)

    def row(self, generator: Generator, made: Tensor, codes: Tensor) -> dict[str, Any]:
        """What there is to say of ``made`` [N, D], whose codes [N, L] are ``codes``; per client,
        and the packed ``answers`` of the models."""
        model, stored = self.received(made), generator.encode(self.buffer.vectors)
        draws = generator.draws("noise", self.clients.ids)
        beside = noised(self.vectors, made, generator.normaliser.scale, draws)
        right = {
            "before": self.clients.right(self.own),
            "generated": self.clients.right(model),
            "noised": self.clients.right(self.received(beside)),
            "trained": self.clients.right(self.clients.train(model, self.next_round)),
        }
        log = movement(self.vectors, made) | nearness(codes, self.buffer, stored)
        entry: dict[str, Any] = {
            **{name: shares(each) for name, each in right.items()},
            "answers": {name: packed(each) for name, each in right.items()},
            **{name: values.tolist() for name, values in log.items()},
            "overlap": overlap(right["generated"], right["before"]),
            "noised_overlap": overlap(right["noised"], right["before"]),
        }
        if groups := self.partition.settings.get("groups"):
            kept = [c % len(groups) == n % len(groups) for c, n in enumerate(entry["nearest"])]
            entry["group_kept"] = kept
        return entry


def fit(
    settings: dict[str, Any], dataset: Dataset, partition: Partition, path: Path, device: str
) -> tuple[State, dict[str, Any], dict[str, Any]]:
    """Learns a generator from the uploads in the file ``path``.

    Returns its tensors, the settings that it depends on (for ``save``), and what can be said of it:
    the denoiser's ``loss``, the diagnostics of a twin that never saw the last client, and per client
    the accuracies of its last ``uploads`` and of these ``reconstructed`` by the autoencoder alone;
    ``by_uploads``: the twin's diagnostics, learnt from so many uploads of each client alone.

    Raises:
        UserError: too few uploads for the autoencoder, a diverged denoiser, or a bad file.
    """
    study = Study(settings, dataset, partition, path, device)
    generator = Generator(study.layout, study.settings, study.seed, device)
    loss = generator.fit(study.buffer)
    if not math.isfinite(loss):
        raise UserError(
            f"the denoiser's loss on {path} is not finite: give it more denoiser_steps or a larger "
            "batch_size"
        )
    rebuilt = study.own | study.layout.restore(generator.rebuild(study.vectors))
    found: dict[str, Any] = {
        "loss": loss,
        **generator.held_out(study.buffer, study.clients.ids[-1]),
    }
    rows = {}
    for name, models in (("uploads", study.own), ("reconstructed", rebuilt)):
        right = study.clients.right(models)
        rows[name] = packed(right)
        found[name] = {"train": study.clients.accuracy(models, "train"), "test": shares(right)}
    found["by_uploads"] = [
        {"uploads": count, **generator.held_out(study.buffer.first(count), study.clients.ids[-1])}
        for count in settings["density"]
    ]
    found |= answers(rows, partition, settings["score_on"])
    return generator.state(), study.fitted, found


def aggregate(
    settings: dict[str, Any],
    dataset: Dataset,
    partition: Partition,
    path: Path,
    fitted: Path,
    device: str,
) -> list[dict[str, Any]]:
    """Rows of what every client gets from its last upload, for each of ``settings["rows"]``.

    ``path`` holds the uploads, ``fitted`` the generator. Before them stand the references: rule "own"
    (the upload itself), "mean" (FedAvg's mean of the uploads) and "stored" (the mean of the client's own
    stored uploads), without eta and start. Lists are per
    client: test accuracies ``before``, ``generated``, ``noised`` (the upload with noise that leads as
    far) and ``trained`` (one more local training of what was generated, in the
    same batch order for all rows), ``change``, ``moved``, ``nearest`` and ``gap`` (see
    ``diagnostics``), the ``overlap`` and ``noised_overlap`` of what these models and the upload get
    wrong, and, where the partition has groups, ``group_kept``: is the
    nearest stored upload of a client with the same distribution?

    Raises:
        UserError: a file is damaged or does not belong to the settings.
    """
    study = Study(settings, dataset, partition, path, device)
    state, notes = read(fitted, device)
    differs = [name for name, value in study.fitted.items() if notes.get(name) != value]
    if differs:
        raise UserError(
            f"{fitted} was fitted under other settings ({', '.join(differs)}): delete it and run "
            "its job again"
        )

    _require_finite(fitted, state)

    def load(**changed: Any) -> Generator:
        chosen = study.settings.model_copy(update=changed)
        return Generator.load(study.layout, chosen, study.seed, state)

    generator, weights = load(), study.sizes / study.sizes.sum()
    mean = weighted_mean({"mean": study.vectors}, weights)["mean"].expand_as(study.vectors)
    rows = [
        {"rule": rule, "eta": None, "start": None}
        | study.row(generator, made, generator.encode(made))
        for rule, made in (
            ("own", study.vectors),
            ("mean", mean),
            ("stored", study.buffer.means(study.clients.ids)),
        )
    ]
    for row in settings["rows"]:
        generator = load(**row)
        codes = generator.generate(generator.encode(study.vectors), study.clients.ids)
        rows.append(row | study.row(generator, generator.decode(codes), codes))
    return rows


# Files ------------------------------------------------------------------------------------------
def save(path: str | Path, tensors: State, notes: dict[str, Any]) -> None:
    """Writes ``tensors`` and what they belong to."""
    artifacts.save(path, KIND, {name: t.cpu().numpy() for name, t in tensors.items()}, notes)


def read(path: str | Path, device: str) -> tuple[State, dict[str, Any]]:
    """What ``save`` wrote; ``UserError`` as of ``artifacts.load``."""
    arrays, notes = artifacts.load(path, KIND)
    # A copy is aligned in memory as fresh tensors are; kernels round by alignment.
    return {name: torch.from_numpy(a).clone().to(device) for name, a in arrays.items()}, notes


def _require_finite(path: Path, tensors: State) -> None:
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise UserError(
                f"{path}: {name} has a value that is not finite: delete the file and make it again"
            )
