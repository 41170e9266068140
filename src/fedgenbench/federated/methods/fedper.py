"""FedPer: a shared body and a personal head (Arivazhagan et al., 2019)."""

from fedgenbench.federated.method import Method


class FedPer(Method):
    """Body and head train together; all tensors travel but the last layer's."""

    label = "FedPer"
    family = "personalised"
    source = "Arivazhagan et al. 2019; papers/pfedgpa.md §6"

    def shares(self, name: str) -> bool:
        return name not in self.task.head
