"""Some clients of a federation outside its rounds: to be scored, and trained with its own engine."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fedgenbench.core.answers import shares
from fedgenbench.federated.data import BatchOrder, FederatedData, in_twos
from fedgenbench.federated.engine import ENGINES
from fedgenbench.federated.method import Method
from fedgenbench.federated.types import State


class Clients:
    """The clients ``ids`` of ``data``; models are stacked [K, ...] in their order.

    ``settings`` are ``grid.Run.settings``, ``method`` one whose local step asks for a model alone.
    """

    def __init__(
        self, method: Method, data: FederatedData, settings: dict[str, Any], ids: list[int]
    ):
        self.method, self.data, self.ids = method, data, ids
        self.engine = ENGINES[settings["engine"]](method, data)
        self.seed, self.batch_size = settings["seed"], settings["local"]["batch_size"]
        self.in_twos = in_twos(method.task.module, data, self.batch_size)

    def accuracy(self, models: State, part: str = "test") -> list[float]:
        """Share of its own "train" or "test" images that each client's model gets right."""
        return shares(self.right(models, part))

    def right(self, models: State, part: str = "test") -> list[Tensor]:
        """Which of these images each client's model gets right, bool [n] by client."""
        rows = {"train": self.data.train, "test": self.data.test}[part]
        return self.engine.right({"model": models}, [rows[client] for client in self.ids])

    def train(self, models: State, round_: int) -> State:
        """The models after one round's local training, in the batch order of round ``round_``."""
        order = BatchOrder(self.data, self.batch_size, self.seed, round_, self.in_twos)
        return self.engine.train({"model": models}, self.method.phases(), order, self.ids)["model"]
