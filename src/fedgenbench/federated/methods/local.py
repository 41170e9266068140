"""Local training only: the control below which federation is not worth its cost."""

from fedgenbench.federated.method import Method
from fedgenbench.federated.types import Slots


class LocalOnly(Method):
    """Each client trains on its own data; nothing travels."""

    label = "Local only"
    family = "control"
    source = "papers/pfedgpa.md §6"

    def download(self, server: Slots, client: int) -> Slots:
        return {}

    def upload(self, slots: Slots) -> Slots:
        return {}
