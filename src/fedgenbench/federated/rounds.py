"""Federated rounds: sampling, training, aggregation, evaluation, accounting, resumption."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fedgenbench.core.answers import packed, shares
from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.streams import stream
from fedgenbench.core.termination import told
from fedgenbench.federated.data import SERVER, BatchOrder, FederatedData, in_twos
from fedgenbench.federated.engine import ENGINES
from fedgenbench.federated.method import Method
from fedgenbench.federated.poisson import PoissonOrder
from fedgenbench.federated.reception import Reception
from fedgenbench.federated.server import nbytes, row_of, stack_slots
from fedgenbench.federated.types import Slots, State

Accuracy = list[float]
PART = "rounds"  # of the checkpoint


class Federation:
    """One run of one method: ``run()`` plays the rounds, resuming from a checkpoint if there is one.

    Args:
        method: the method, built on its task.
        data: rows and clients. A ``pooled`` method trains on the union and is tested per client.
        seed: root of this repetition's random streams (batch order, participation).
        rounds: communication rounds.
        batch_size: local batch size.
        participation: share of clients per round, at least one.
        engine: ``"sequential"`` or ``"vmap"``.
        evaluate_every: rounds between evaluations; the first and the last are always evaluated.
        reception: what the server refuses, and which clients are poisoned.
        checkpoint: where rounds are kept and gone on from, or None.
        checkpoint_seconds: least time between two that are kept.
        warm: the model that everybody starts from, or None for the task's own.
    """

    def __init__(
        self,
        method: Method,
        data: FederatedData,
        *,
        seed: int,
        rounds: int,
        batch_size: int,
        participation: float = 1.0,
        engine: str = "sequential",
        evaluate_every: int = 1,
        reception: Reception = Reception(),  # noqa: B008
        checkpoint: Checkpoint | None = None,
        checkpoint_seconds: float = 15.0,
        warm: State | None = None,
    ):
        self.method, self.seed, self.rounds, self.warm = method, seed, rounds, warm
        self.batch_size, self.participation = batch_size, participation
        self.evaluate_every, self.reception = evaluate_every, reception
        self.checkpoint, self.checkpoint_seconds = checkpoint, checkpoint_seconds
        self.testers = len(data.test)
        self.data = data.pooled() if method.pooled else data
        self.engine = ENGINES[engine](method, self.data)
        self.in_twos = in_twos(method.task.module, self.data, batch_size)
        self.sizes = torch.tensor([len(rows) for rows in self.data.train], dtype=torch.float64)

        device = self.data.x.device
        initial = warm or method.task.initial_state()
        initial = {name: t.to(device) for name, t in initial.items()}
        self.server = method.init_server(initial, self.sizes / self.sizes.sum(), seed)
        self.clients = stack_slots(
            [
                method.init_client(
                    initial, torch.bincount(self.data.y[rows], minlength=method.task.classes)
                )
                for rows in self.data.train
            ]
        )
        self.persistent = list(self.clients)
        self.history: list[dict[str, Any]] = []
        # Model -> its answers to all test images, packed, after the round that was evaluated last.
        self.answers: dict[str, str] = {}
        self.round = 0

    def run(self, progress: Callable[[int, dict], None] = lambda round_, entry: None) -> list[dict]:
        """Plays the remaining rounds and returns the history, one entry per round.

        Round 0 is what there is before the first one: a warm start, and models adapted to it.
        """
        if not self._resumed() and (before := self._before()):
            self.history.append({"round": 0} | before)
        saved = time.monotonic()
        while self.round < self.rounds:
            self.round += 1
            self.history.append(self._play())
            progress(self.round, self.history[-1])
            due = told() or time.monotonic() - saved >= self.checkpoint_seconds
            if self.checkpoint and (due or self.round == self.rounds):
                self._save()
                saved = time.monotonic()
        return self.history

    def _before(self) -> dict[str, Any]:
        entry = {}
        if self.warm:
            entry["global"] = self._scored("global", self.engine.global_right(self.server["model"]))
        if self.method.personal == "remembered":
            entry["adapted"] = self._remembered(0)
        return entry

    def _play(self) -> dict[str, Any]:
        method, engine = self.method, self.engine
        chosen = self.participants(self.round)
        evaluated = self.round in (1, self.rounds) or self.round % self.evaluate_every == 0
        entry: dict[str, Any] = {"round": self.round, "clients": len(chosen)}

        slots, entry["bytes_down"] = self._receive(chosen)
        everybody = len(chosen) == len(self.sizes)
        if evaluated:
            received = slots if everybody else self._receive(None)[0]
            received = self._with_own_statistics(received)
            entry["start"] = self._scored("start", self._right(received))
            if method.personal == "adapted":
                entry["adapted"] = self._scored("adapted", self._right(self._adapted(self.round)))

        order, phases = self._order(self.round), method.phases()
        slots = engine.train(slots, phases, order, chosen)
        steps = [sum(order.steps(client, phase) for phase in phases) for client in chosen]
        slots = engine.map(
            method.finish,
            slots,
            torch.tensor(steps, dtype=torch.float64, device=self.data.x.device),
        )
        uploads = engine.uploads(slots)
        sent = uploads if isinstance(uploads, list) else [uploads]
        entry["bytes_up"] = sum(map(nbytes, sent)) // len(chosen)
        if method.pooled:  # all data are in one place: nothing travels
            entry["bytes_down"] = entry["bytes_up"] = 0
        good = self._aggregate(uploads, chosen, entry)
        self._keep(slots, chosen, good)
        if phases := method.refine():
            aggregate = stack_slots([{"model": self.server["model"]}])
            refined = engine.train(aggregate, phases, order, [SERVER])
            self.server = self.server | row_of(refined, 0)
        else:  # what the server trains has the statistics of the images that it was trained on
            self.server, again = engine.settled(self.server, [chosen[row] for row in good])
            entry["bytes_down"] += again
            entry["bytes_up"] += again
        if evaluated:
            entry["trained"] = self._scored("trained", self._right(self.clients))
            if (model := method.global_model(self.server)) is not None:
                entry["global"] = self._scored("global", engine.global_right(model))
            if method.personal == "received":
                received = self._with_own_statistics(self._receive(None)[0])
                entry["received"] = self._scored("received", self._right(received))
            # A past model was made after the round before this one.
            last = method.personal == "remembered"
            metric = "adapted" if last else method.personal
            entry["personal"] = (self.history[-1] if last else entry)[metric]
            self.answers["personal"] = self.answers[metric]
        if method.personal == "remembered":
            entry["adapted"] = self._remembered(self.round)
        if evaluated and (audit := method.audit(self.server, self.clients, self._settled_right)):
            entry["server"] = audit
        return entry

    def _with_own_statistics(self, slots: Slots) -> Slots:
        """Everybody's slots with statistics over the client's own images, unless what it scores is
        the server's model as it came."""
        own = self.method.global_model(self.server) is None or "personal" in self.persistent
        return self.engine.recalibrated(slots, self.data.train) if own else slots

    def _adapted(self, round_: int) -> Slots:
        """Everybody's slots after the phases by which the server's model becomes a client's own."""
        everybody, phases = list(range(len(self.sizes))), self.method.adapt()
        received, _ = self._receive(None)
        return self.engine.train(received, phases, self._order(round_), everybody)

    def _order(self, round_: int) -> BatchOrder:
        task, place = self.method.task, (self.data, self.batch_size, self.seed, round_)
        private = task.privacy is not None
        return PoissonOrder(*place, task.size) if private else BatchOrder(*place, self.in_twos)

    def _remembered(self, round_: int) -> Accuracy:
        """Of everybody's adapted models, of which the clients keep what the method says."""
        adapted = self._adapted(round_)
        logits = self.engine.logits(adapted, self.data.train)
        self.clients = self.clients | self.engine.map(self.method.remember, adapted, logits)
        return self._scored("adapted", self._right(adapted))

    def participants(self, round_: int) -> list[int]:
        """The clients of a round."""
        count = len(self.sizes)
        chosen = max(1, round(self.participation * count))
        if chosen == count:
            return list(range(count))
        draw = stream(self.seed, "participation", round_).choice(count, chosen, replace=False)
        return sorted(draw.tolist())

    def _receive(self, chosen: list[int] | None) -> tuple[Slots, int]:
        """Slots of the chosen clients (None: all) after the download, and its mean bytes a client."""
        everybody = range(len(self.sizes))
        clients = list(everybody) if chosen is None else chosen
        payloads = stack_slots([self.method.download(self.server, client) for client in clients])
        kept = self.clients
        if len(clients) != len(self.sizes):
            kept = {role: {n: t[clients] for n, t in s.items()} for role, s in kept.items()}
        size = nbytes(payloads) // len(clients)
        # vmap and row_of both need the payload beside the slots, so it rides along under a prefix.
        if not payloads:
            return self.engine.map(lambda slots: self.method.receive(slots, {}), kept), 0
        joint = kept | {f"payload:{role}": state for role, state in payloads.items()}

        def receive(joint: Slots) -> Slots:
            payload = {
                r.removeprefix("payload:"): s for r, s in joint.items() if r.startswith("payload:")
            }
            slots = {r: s for r, s in joint.items() if not r.startswith("payload:")}
            return self.method.receive(slots, payload)

        return self.engine.map(receive, joint), size

    def _keep(self, slots: Slots, chosen: list[int], good: list[int]) -> None:
        """Stores the persistent roles of the clients whose upload was accepted (rows ``good``).

        A refused client stays as it was before the round: its state and the server's still agree.
        """
        for role in self.persistent:
            if len(good) == len(self.sizes):
                self.clients[role] = slots[role]
                continue
            clients = [chosen[row] for row in good]
            for name, values in slots[role].items():
                kept = self.clients[role][name].clone()
                kept[clients] = values[good]
                self.clients[role][name] = kept

    def _aggregate(
        self, uploads: Slots | list[Slots], chosen: list[int], entry: dict[str, Any]
    ) -> list[int]:
        """Gives the good uploads to the method's server; returns their rows."""
        accepted, good, refused = self.reception.admit(uploads, self.server["model"], chosen)
        if refused:
            entry["refused"] = {str(client): fault for client, fault in refused.items()}
        clients = [chosen[row] for row in good]
        weights = self.sizes[clients]
        self.server = self.method.aggregate(self.server, accepted, weights / weights.sum(), clients)
        return good

    def _scored(self, model: str, right: list[Tensor]) -> Accuracy:
        """By client, of answers to test images, which are kept under the model's name."""
        self.answers[model] = packed(right)
        return shares(right)

    def _settled_right(self, slots: Slots, part: str) -> list[Tensor]:
        """``_right`` of every client's model with its statistics over the client's images."""
        return self._right(self.engine.recalibrated(slots, self.data.train), part)

    def _right(self, slots: Slots, part: str = "test") -> list[Tensor]:
        """Which of its own images of one part each client's model gets right."""
        held = {"train": self.data.train, "test": self.data.test}[part]
        if self.method.pooled:  # one model for all test sets
            slots = {
                role: {n: t.expand(self.testers, *t.shape[1:]) for n, t in state.items()}
                for role, state in slots.items()
            }
        return self.engine.right(slots, held)

    # Checkpoints ------------------------------------------------------------------------------
    def _save(self) -> None:
        tensors = {
            f"{side}/{role}/{name}": t
            for side, slots in (("clients", self.clients), ("server", self.server))
            for role, state in slots.items()
            for name, t in state.items()
        }
        assert self.checkpoint is not None
        facts = {"round": self.round, "history": self.history, "answers": self.answers}
        self.checkpoint.put(PART, tensors, facts)

    def _resumed(self) -> bool:
        """Is everything as it was when a round was kept?"""
        kept = self.checkpoint and self.checkpoint.tensors(PART, self.data.x.device)
        if not kept:
            return False
        tensors, facts = kept
        sides: dict[str, Slots] = {"clients": {}, "server": {}}
        for key, tensor in tensors.items():
            side, role, name = key.split("/", 2)
            sides[side].setdefault(role, {})[name] = tensor
        self.clients, self.server = sides["clients"], sides["server"]
        self.round, self.history = facts["round"], facts["history"]
        self.answers = facts["answers"]
        return True
