"""What reaches the server of the clients' uploads: which of them are poisoned, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import Field

from fedgenbench.core.settings import Strict
from fedgenbench.core.streams import stream
from fedgenbench.core.uploads import LARGEST_RMS
from fedgenbench.federated.types import Slots, State

if TYPE_CHECKING:
    from torch import Tensor


class Poisoned(Strict):
    """Clients that train as all do, and send w + factor (w_k − w) in place of their model w_k.

    w is the model that the server sent. A factor below zero turns the update round (sign flipping; Li et
    al., AAAI 2019), one above one makes it longer (model replacement; Bagdasaryan et al., AISTATS 2020).
    """

    share: float = Field(ge=0, lt=1, description="Share of the clients, drawn once a repetition.")
    factor: float = Field(description="By which a poisoned client multiplies its update.")

    def clients(self, count: int, seed: int) -> frozenset[int]:
        """Which of ``count`` clients are poisoned, the same for every method of a repetition."""
        drawn = stream(seed, "poisoned").permutation(count)
        return frozenset(drawn[: round(self.share * count)].tolist())


@dataclass(frozen=True)
class Reception:
    """``largest``: root mean square of an uploaded tensor; ``clients`` are those that are poisoned."""

    on_bad_upload: str = "stop"
    largest: float = LARGEST_RMS
    clients: frozenset[int] = field(default_factory=frozenset)
    factor: float = 1.0

    def admit(
        self, uploads: Slots | list[Slots], model: State, clients: list[int]
    ) -> tuple[Slots, list[int], dict[int, str]]:
        """``server.admit`` of what ``clients`` send; ``model`` is the server's, as they got it."""
        from fedgenbench.federated.server import admit

        if rows := [row for row, client in enumerate(clients) if client in self.clients]:
            uploads = self._with_lies(uploads, rows, model)
        return admit(uploads, model, clients, self.on_bad_upload, self.largest)

    def _with_lies(
        self, uploads: Slots | list[Slots], rows: list[int], model: State
    ) -> Slots | list[Slots]:
        """The uploads, one by one or stacked, of which ``rows`` are poisoned."""
        if isinstance(uploads, list):
            lies = {row: self._poisoned(uploads[row]["model"], model) for row in rows}
            return [
                upload | {"model": lies.get(row, upload["model"])}
                for row, upload in enumerate(uploads)
            ]
        sent = {name: t.clone() for name, t in uploads["model"].items()}
        for name, values in self._poisoned({n: t[rows] for n, t in sent.items()}, model).items():
            sent[name][rows] = values
        return uploads | {"model": sent}

    def _poisoned(self, sent: State, model: State) -> State:
        def lie(name: str, tensor: Tensor) -> Tensor:
            if not tensor.is_floating_point():
                return tensor
            return model[name] + self.factor * (tensor - model[name])

        return {name: lie(name, tensor) for name, tensor in sent.items()}
