"""Two interchangeable ways of running the clients of a round.

``Sequential`` is the oracle: one client after another, eager autograd. ``Vectorised`` stacks the
clients and maps the same pure functions over them with ``torch.func.vmap``; it wins where the cost
of launching operators dominates. They agree within rounding (tests/federated/test_conformance.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fedgenbench.core.memory import keep_freed_memory
from fedgenbench.federated import task as task_module
from fedgenbench.federated.data import BatchOrder, FederatedData
from fedgenbench.federated.method import Method, Phase
from fedgenbench.federated.server import nbytes, row_of, stack_slots
from fedgenbench.federated.types import Batch, Slots, State

EVALUATION_BATCH = 100  # what a CPU core's cache holds; twice as fast there as a thousand


def _without_momentum(slots: Slots) -> Slots:
    return {role: state for role, state in slots.items() if not role.startswith("momentum:")}


class Engine:
    """What both have in common."""

    def __init__(self, method: Method, data: FederatedData):
        self.method, self.data = method, data

    def recalibrated(self, slots: Slots, held: list[Tensor]) -> Slots:
        """Stacked slots with batch-norm statistics of each client's weights over its rows ``held``."""
        if not self.method.task.recalibrates:
            return slots
        return stack_slots(
            [self._recalibrated(row_of(slots, row), rows) for row, rows in enumerate(held)]
        )

    def settled(self, server: Slots, clients: list[int]) -> tuple[Slots, int]:
        """The server's slots, its model with the statistics of its weights over the images of all
        ``clients``, and the bytes that this takes of each, up and down.

        Layer by layer, each sends the mean and variance of its images; the pooled ones come back.
        """
        method, task = self.method, self.method.task
        if not task.recalibrates or method.pooled or not any(map(method.shares, task.buffers)):
            return server, 0
        rows = torch.cat([self.data.train[client] for client in clients])
        model = task.recalibrated(server["model"], self.data.images, rows)
        size = nbytes({"model": {name: model[name] for name in task.buffers}})
        return server | {"model": model}, size

    @torch.no_grad()
    def global_right(self, model: State) -> list[Tensor]:
        """Which images of each client's test set one model gets right."""
        rows = torch.cat(self.data.test)
        unique, where = rows.unique(return_inverse=True)
        logits = [
            self.method.task.logits(model, self.data.images(part)) for part in unique.split(1000)
        ]
        right = (torch.cat(logits).argmax(1) == self.data.y[unique])[where].cpu()
        return list(right.split([len(r) for r in self.data.test]))

    def _recalibrated(self, slots: Slots, rows: Tensor) -> Slots:
        task = self.method.task
        return self.method.recalibrate(
            slots, lambda model: task.recalibrated(model, self.data.images, rows)
        )


class Sequential(Engine):
    """One client after another."""

    name = "sequential"

    def __init__(self, method: Method, data: FederatedData):
        super().__init__(method, data)
        method.task.grad = task_module.grad_eager

    def map(self, function: Callable, slots: Slots, *arguments: Tensor) -> Slots:
        """``function`` over the clients of stacked ``slots`` and of stacked ``arguments``."""
        count = len(next(iter(slots["model"].values())))
        return stack_slots(
            [function(row_of(slots, row), *(a[row] for a in arguments)) for row in range(count)]
        )

    def uploads(self, slots: Slots) -> list[Slots]:
        """What each client sends; the server looks at their shapes before it stacks them."""
        count = len(next(iter(slots["model"].values())))
        return [self.method.upload(row_of(slots, row)) for row in range(count)]

    def train(
        self, slots: Slots, phases: list[Phase], order: BatchOrder, clients: list[int]
    ) -> Slots:
        """Runs ``phases`` for the ``clients``, whose slots are stacked in that order."""
        trained = []
        for row, client in enumerate(clients):
            mine = row_of(slots, row)
            for phase in phases:
                for batch in order.batches(client, phase):
                    mine = phase.step(mine, batch)
                mine = _without_momentum(mine)
                if phase.trains and self.method.task.recalibrates:
                    mine = self._recalibrated(mine, order.held(client, phase))
            trained.append(mine)
        return stack_slots(trained)

    @torch.no_grad()
    def logits(self, slots: Slots, held: list[Tensor]) -> Tensor:
        """Logits [K, n, classes] of each client's deployed model on its rows ``held``, n of the
        longest; the rest is zero."""
        found = []
        for client, rows in enumerate(held):
            mine = row_of(slots, client)
            parts = rows.split(EVALUATION_BATCH)
            found.append(
                torch.cat([self.method.predict(mine, self.data.images(part)) for part in parts])
            )
        return torch.nn.utils.rnn.pad_sequence(found, batch_first=True)

    @torch.no_grad()
    def right(self, slots: Slots, held: list[Tensor]) -> list[Tensor]:
        """Which of its rows ``held`` each client's deployed model gets right, bool [n] by client."""
        answers = []
        for client, rows in enumerate(held):
            mine = row_of(slots, client)
            parts = [
                self.method.predict(mine, self.data.images(part)).argmax(1) == self.data.y[part]
                for part in rows.split(EVALUATION_BATCH)
            ]
            answers.append(torch.cat(parts).cpu())
        return answers


class Vectorised(Engine):
    """All clients at once; batch-norm statistics are worked out one client after another."""

    name = "vmap"

    def __init__(self, method: Method, data: FederatedData):
        super().__init__(method, data)
        method.task.grad = task_module.grad_functional
        keep_freed_memory()

    def map(self, function: Callable, slots: Slots, *arguments: Tensor) -> Slots:
        return torch.vmap(function)(slots, *arguments)

    def uploads(self, slots: Slots) -> Slots:
        """What the clients send, stacked: one function maps them all, so their shapes agree."""
        return self.map(self.method.upload, slots)

    def train(
        self, slots: Slots, phases: list[Phase], order: BatchOrder, clients: list[int]
    ) -> Slots:
        for phase in phases:
            for batch, active in order.stacked(clients, phase):
                # vmap takes its axes in a tree of the arguments' shape.
                present: Any = Batch._make(None if part is None else 0 for part in batch)
                new = torch.vmap(phase.step, in_dims=(0, present))(slots, batch)
                slots = new if active is None else _where(active, new, slots)
            slots = _without_momentum(slots)
            if phase.trains:
                slots = self.recalibrated(slots, [order.held(client, phase) for client in clients])
        return slots

    @torch.no_grad()
    def logits(self, slots: Slots, held: list[Tensor]) -> Tensor:
        predict = torch.vmap(self.method.predict)
        rows = torch.nn.utils.rnn.pad_sequence(held, batch_first=True)
        found = [predict(slots, self.data.images(part)) for part in rows.split(EVALUATION_BATCH, 1)]
        sizes = torch.tensor([len(r) for r in held], device=rows.device)
        inside = torch.arange(rows.shape[1], device=rows.device) < sizes[:, None]
        return torch.cat(found, 1) * inside[:, :, None]

    @torch.no_grad()
    def right(self, slots: Slots, held: list[Tensor]) -> list[Tensor]:
        predict = torch.vmap(self.method.predict)
        rows = torch.nn.utils.rnn.pad_sequence(held, batch_first=True)
        parts = [
            predict(slots, self.data.images(part)).argmax(2) == self.data.y[part]
            for part in rows.split(EVALUATION_BATCH, 1)
        ]
        answers = torch.cat(parts, 1).cpu()
        return [each[: len(own)] for each, own in zip(answers, held, strict=True)]


def _where(active: Tensor, new: Slots, old: Slots) -> Slots:
    """``new`` for active clients, ``old`` for those that have no batch left."""

    def pick(role: str, name: str, tensor: Tensor) -> Tensor:
        before = old[role][name]
        return torch.where(active.view(-1, *[1] * (tensor.dim() - 1)), tensor, before)

    return {
        role: {name: pick(role, name, t) for name, t in state.items()}
        for role, state in new.items()
    }


ENGINES = {engine.name: engine for engine in (Sequential, Vectorised)}
