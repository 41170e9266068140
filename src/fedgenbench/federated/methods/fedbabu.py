"""FedBABU: only the body is learned together; heads come by fine-tuning (Oh et al., ICLR 2022)."""

from functools import partial

from fedgenbench.federated.method import Method, Phase
from fedgenbench.federated.types import Slots, State


class FedBABU(Method):
    """The head keeps its initial values in training; each client then fine-tunes the whole model."""

    label = "FedBABU"
    family = "personalised"
    source = "Oh et al. 2022, Algorithm 1; papers/pfedgpa.md §6"
    personal = "adapted"

    def shares(self, name: str) -> bool:
        return name not in self.task.head  # it is the same everywhere

    def phases(self) -> list[Phase]:
        return [Phase(self.epochs, partial(self.sgd_step, train=self.task.body))]

    def global_model(self, server: Slots) -> State:
        return server["model"]
