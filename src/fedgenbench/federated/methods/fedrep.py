"""FedRep: a shared representation learned under personal heads (Collins et al., ICML 2021)."""

from functools import partial

from pydantic import Field

from fedgenbench.federated.method import MethodSettings, Phase
from fedgenbench.federated.methods.fedper import FedPer


class FedRep(FedPer):
    """What FedPer shares, but the head trains first under a frozen body, then the body alone."""

    label = "FedRep"
    source = "Collins et al. 2021, Algorithm 1; papers/pfedgpa.md §6"

    class Settings(MethodSettings):
        body_epochs: int = Field(
            description="Epochs of the body, after the head's local epochs.", ge=1
        )

    def phases(self) -> list[Phase]:
        return [
            Phase(self.epochs, partial(self.sgd_step, train=self.task.head)),
            Phase(self.settings.body_epochs, partial(self.sgd_step, train=self.task.body)),
        ]
