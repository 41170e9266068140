"""The method protocol: a federated method is a handful of pure functions of one client.

The engine owns loops, batching, devices, checkpoints and communication accounting. A method says
what a client keeps, what travels, how a local step goes, how the server aggregates and which model
is scored. Method files import torch inside functions: settings are validated without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fedgenbench.core.settings import Strict
from fedgenbench.federated.aggregation import Aggregation, average
from fedgenbench.federated.privacy import private_gradient
from fedgenbench.federated.types import SGD, Batch, Slots, State

if TYPE_CHECKING:
    from torch import Tensor

    from fedgenbench.federated.task import Task


Family = Literal["control", "global", "personalised"]
Personal = Literal["global", "trained", "adapted", "received", "remembered"]
Images = Literal["adapters", "prompts"]
Weighting = Literal["samples", "uniform"]


class MethodSettings(Strict):
    """Base of every method's own settings."""

    def fault(self, clients: int, rounds: int) -> str | None:
        """What cannot work with so many clients in a round and so many rounds, or None."""
        return None


def weighted(weights: Tensor, weighting: Weighting) -> Tensor:
    """``weights`` [K], which are shares of samples, or equal ones in their place."""
    return weights.new_full(weights.shape, 1 / len(weights)) if weighting == "uniform" else weights


@dataclass(frozen=True)
class Phase:
    """A stretch of training: ``epochs`` passes with ``step`` over a client's data.

    ``step(slots, batch) -> slots`` is one optimiser step of one client. Momentum starts at zero in
    every phase. ``on`` "synthetic" passes over the synthetic images, which all share; ``gumbels`` is
    the number of Gumbel draws per sample that the batches carry. Where it ``trains``, the models'
    batch-norm statistics are made those of their weights when it ends (``Method.recalibrate``).
    """

    epochs: int
    step: Callable[[Slots, Batch], Slots]
    on: Literal["private", "synthetic"] = "private"
    gumbels: int = 0
    trains: bool = True


class Method:
    """FedAvg's skeleton; a method overrides what makes it itself.

    A client's slots persist between rounds exactly for the roles that ``init_client`` names; others,
    such as ``start`` (the model as the round began), live for one round.
    """

    label: ClassVar[str]
    family: ClassVar[Family]
    source: ClassVar[str]
    # Which model is deployed on a client: the aggregate; the locally trained one; that which the round
    # began with, after the phases of ``adapt`` in place of local training; or what the server gives out
    # when it ends. "remembered" adapts what each round ends with, from before the first one, and the
    # client keeps what ``remember`` makes of it; what is scored was adapted one round ago, so that all
    # methods' models have trained locally as many times as there were rounds.
    personal: ClassVar[Personal] = "trained"
    pooled: ClassVar[bool] = False  # train on the union of all clients' data
    # Is the server's model an average of uploads, so that an experiment may choose another average?
    averages: ClassVar[bool] = True
    # Do a client's data reach what it sends through ``sgd_step`` in one phase alone, on a loss that is a
    # mean over samples? Then differential privacy of the steps is that of the upload.
    private: ClassVar[bool] = False
    # Which synthetic images the server has: it starts from a model trained on them.
    images: ClassVar[Images | None] = None

    class Settings(MethodSettings):
        pass

    def __init__(
        self, task: Task, epochs: int, settings: Any, aggregation: Aggregation | None = None
    ):
        self.task, self.epochs, self.settings = task, epochs, settings
        self.aggregation = aggregation

    # What exists -----------------------------------------------------------------------------
    def init_client(self, model: State, counts: Tensor) -> Slots:
        """``counts`` [classes]: the client's training samples per class."""
        return {"model": model}

    def init_server(self, model: State, shares: Tensor, seed: int) -> Slots:
        """``shares`` [N]: each client's share of all training samples."""
        return {"model": model}

    # What travels ----------------------------------------------------------------------------
    def shares(self, name: str) -> bool:
        """Does the model tensor ``name`` travel?"""
        return True

    def download(self, server: Slots, client: int) -> Slots:
        return {"model": self._shared(server["model"])}

    def receive(self, slots: Slots, payload: Slots) -> Slots:
        """The client's slots at the start of a round: what it kept, overlaid by what came."""
        merged = slots | {role: slots.get(role, {}) | state for role, state in payload.items()}
        return merged | {"start": merged["model"]}

    def upload(self, slots: Slots) -> Slots:
        return {"model": self._shared(slots["model"])}

    def _shared(self, model: State) -> State:
        return {name: t for name, t in model.items() if self.shares(name)}

    # Local training --------------------------------------------------------------------------
    def phases(self) -> list[Phase]:
        return [Phase(self.epochs, self.step)]

    def step(self, slots: Slots, batch: Batch) -> Slots:
        """What a mini-batch does to the client's slots."""
        return self.sgd_step(slots, batch)

    def sgd_step(
        self,
        slots: Slots,
        batch: Batch,
        train: Iterable[str] | None = None,
        optimiser: SGD | None = None,
    ) -> Slots:
        """One optimiser step of the model, or of its tensors ``train``; private if the task is."""
        if self.task.privacy is not None:
            grads = private_gradient(
                self.task,
                lambda model, sample: self.loss(model, slots, sample)[0],
                slots["model"],
                batch,
                train,
            )
            return self.task.descend(slots, "model", self.adjust(grads, slots), {}, optimiser)
        return self.task.sgd(
            slots,
            "model",
            lambda model: self.loss(model, slots, batch),
            train=train,
            optimiser=optimiser,
            adjust=lambda grads: self.adjust(grads, slots),
        )

    def adjust(self, grads: State, slots: Slots) -> State:
        """Changes the gradient of the loss, before weight decay and momentum."""
        return grads

    def loss(self, model: State, slots: Slots, batch: Batch) -> tuple[Tensor, State]:
        from fedgenbench.federated.task import cross_entropy

        out = self.task.forward(model, batch)
        return cross_entropy(out.logits, batch), out.buffers

    def recalibrate(self, slots: Slots, statistics: Callable[[State], State]) -> Slots:
        """The slots with ``statistics`` for all models that are trained in them.

        ``statistics`` gives a model the batch-norm statistics of its weights over the images of the
        phase that ends.
        """
        return slots | {"model": statistics(slots["model"])}

    def adapt(self) -> list[Phase]:
        """Phases that turn the received model into the deployed one (``personal = "adapted"``)."""
        return [Phase(self.epochs, self.step)]

    def remember(self, slots: Slots, logits: Tensor) -> Slots:
        """The roles that a client keeps of its adapted ``slots`` (``personal = "remembered"``).

        ``logits`` [n, classes] are the adapted model's on the client's training rows, not augmented;
        n is the largest client's number of rows, and what is beyond a client's own is padding.
        """
        return {}

    def finish(self, slots: Slots, steps: Tensor) -> Slots:
        """After the last phase; ``steps`` is the scalar number of local steps of the client."""
        return slots

    # Server ----------------------------------------------------------------------------------
    def aggregate(
        self, server: Slots, uploads: Slots, weights: Tensor, clients: list[int]
    ) -> Slots:
        """``uploads`` are stacked [K, ...] in client order, ``weights`` [K] sum to one."""
        before = server["model"]
        return server | {"model": before | self.average(uploads["model"], weights, before)}

    def average(self, stacked: State, weights: Tensor, before: State) -> State:
        """Uploads stacked [K, ...] as one, by the rule of the experiment (``aggregation.average``)."""
        return average(self.aggregation, stacked, weights, before, self.task.parameters)

    def refine(self) -> list[Phase]:
        """Phases on synthetic images by which the server trains the aggregate."""
        return []

    def hands_out_images(self) -> bool:
        """Do clients train on the synthetic images, so that these must reach them?"""
        return False

    def audit(
        self, server: Slots, clients: Slots, right: Callable[[Slots, str], list[Tensor]]
    ) -> dict[str, Any]:
        """What a method's server reports of itself, for the record; JSON values by name.

        Called in evaluated rounds after the aggregation. ``clients`` are the trained clients, stacked
        [N, ...]; ``right(slots, part)`` says which of its "train" or "test" images each client's model of
        such slots gets right, bool [n] by client.
        """
        return {}

    # What is scored --------------------------------------------------------------------------
    def global_model(self, server: Slots) -> State | None:
        """The one model that the server could hand to anybody, or None where there is none."""
        model = server["model"]
        return model if all(self.shares(name) for name in model) else None

    def predict(self, slots: Slots, x: Tensor) -> Tensor:
        """Logits [B, classes] of the client's deployed model."""
        return self.task.logits(slots["model"], x)


# A method's id is the name of its file.
_PACKAGE = Path(__file__).parents[1]
# Baselines are files of ``methods``; a paper's own method is ``method.py`` in the folder of its system.
_MODULES = {
    path.stem: f"fedgenbench.federated.methods.{path.stem}"
    for path in (_PACKAGE / "federated/methods").glob("*.py")
    if path.stem != "__init__"
} | {
    path.parent.name: f"fedgenbench.systems.{path.parent.name}.method"
    for path in (_PACKAGE / "systems").glob("*/method.py")
}
METHODS = tuple(sorted(_MODULES))


def method_module(name: str) -> str:
    return _MODULES[name]


def method_class(name: str) -> type[Method]:
    """The one ``Method`` that the file of that name defines."""
    module = import_module(method_module(name))
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Method)
        and value.__module__ == module.__name__
    )
    return found
