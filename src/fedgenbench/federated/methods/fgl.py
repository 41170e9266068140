"""FGL: a server model trained on images from prompts alone (Zhang et al., 2023)."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from fedgenbench.federated.method import (
    Family,
    Images,
    Method,
    MethodSettings,
    Personal,
    Phase,
    Weighting,
    weighted,
)
from fedgenbench.federated.types import Slots

if TYPE_CHECKING:
    from torch import Tensor


class FGL(Method):
    """FedAvg from a model trained on synthetic images, on which the server goes on each round."""

    label = "FGL"
    family: ClassVar[Family] = "global"
    source = "papers/warmfed.md §4 and §6 (Zhang et al. 2023)"
    personal: ClassVar[Personal] = "global"
    images: ClassVar[Images | None] = "prompts"

    class Settings(MethodSettings):
        server_epochs: int = Field(
            description="Passes of the aggregate over synthetic images.", ge=0
        )
        weighting: Weighting = Field(description="Weights of the aggregation.")

    def aggregate(
        self, server: Slots, uploads: Slots, weights: "Tensor", clients: list[int]
    ) -> Slots:
        weights = weighted(weights, self.settings.weighting)
        return super().aggregate(server, uploads, weights, clients)

    def refine(self) -> list[Phase]:
        epochs = self.settings.server_epochs
        return [Phase(epochs, self.step, on="synthetic")] if epochs else []
