"""FedProx: local training that stays near the received model (Li et al., MLSys 2020)."""

from pydantic import Field

from fedgenbench.federated.method import Method, MethodSettings
from fedgenbench.federated.types import Slots, State


class FedProx(Method):
    """FedAvg with the proximal term μ/2 ‖w − w^t‖² in the local loss."""

    label = "FedProx"
    private = True
    family = "global"
    source = "Li et al. 2020, Algorithm 2; papers/pfedgpa.md §6"
    personal = "global"

    class Settings(MethodSettings):
        mu: float = Field(description="Weight μ of the proximal term.", ge=0)

    def adjust(self, grads: State, slots: Slots) -> State:
        from fedgenbench.federated.task import proximal

        return proximal(grads, slots["model"], slots["start"], self.settings.mu)
